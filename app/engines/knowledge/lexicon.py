"""English word lists: stop words, words of asking, which weigh little, and words of similar meaning."""

from __future__ import annotations

from app.engines.knowledge.tokenizer import stem

_STOP = """
    a about actually after again ago all almost already also although always am an and another any anybody anyone
    anything anyway anywhere are aren arent around as at away be because been before being both but by can cannot cant
    could couldnt couldve did didnt do does doesnt doing done dont during each either else em even ever every everyone
    everything except few for from further gonna gotta had hadnt has hasnt have havent having he hello hence her here
    hers herself hes hey hi him himself his how however i id if ill im in indeed instead into is isnt it itll its itself
    ive just kindly lately let lets like likely ll lot lots many may maybe me mean means meant might mine more most much
    must mustnt my myself near nearly neither never next no nobody none nor not nothing now of off often oh ok okay on
    once one ones only onto or other others otherwise ought our ours ourselves out over own per perhaps please pls plz
    possibly pretty quite rather re really s same say says shall she shes should shouldnt since so some somebody somehow
    someone something sometimes somewhere soon still such sure t than thank thanks thank that thats the their theirs
    them themselves then there theres these they theyre theyve thing things this those though through thru thus till to
    together too toward towards u under unless until up upon ur us usually ve very via was wasnt we well went were
    werent weve what whatever whats when whenever where wheres wherever whether which while who whoever whole whom whos
    whose why will with within without wont would wouldnt yeah yes yet you youd youll your youre yours yourself youve
    yep nope hmm um uh lol btw wanna ya yo gimme dear sir madam folks guys greetings asap fyi
"""
STOP = frozenset(_STOP.split())
"""Left out of a query. Kept in the index, so that nothing is lost to phrases."""

_ASKING = """
step steps procedure instructions instruction tutorial overview summary method methods blame policy matter issue issues
problem problems reply answer answers worry worried sorry sure
     able advice anyhow appreciate ask asked asking asks assist assistance believe best better bit bother chance
clue     confused could curious describe details detail difference differences different elaborate exactly example
examples     explain explained explaining explanation feel figure find finding found get gets getting give given
gives go goes     going good got great guess guide guidance guy happen happened happening happens hard hear heard
help helpful helps     hope hoping idea info information interested kind know knowing known learn let lately long
look looked looking looks     love matter mind need needed needing needs please possible possibly proper properly
purpose question questions quick     quickly reason recommend recommended regarding right said seem seems see seeing
show showing simple simply sort     stuff suggest supposed talk tell telling thanks think thinking thought told
tried try trying understand     understanding understood walk want wanted wanting wants way ways wish wonder
wondering word work worked working     works wrong yesterday today tomorrow tonight currently old new now often
please really come comes coming keep keeps     keeping kept make makes making made take takes taking took put puts
use used uses using usage every far fast big     small little large bad nice okay fine day days week weeks month
months year years time times hour hours minute     minutes people person someone friend friends guys man woman
everyone colleague boss team bought am pm thing lot     number amount actual basically certain certainly clear
clearly common default easy easily enough entire first last     second full general generally important main normal
normally particular point several similar single specific     usual various full start started starting stop
happened allow allowed allows let possible support supported supports     handle handles set sets setting settings
setup change changed changes add added adding check run running call called     calls two three four five ten end
ends ended ending turn turned turning turns bring become becomes hold stay live lives     undo somehow away side top
bottom part parts kind whole hand hands onto piece reach
"""
ASKING = frozenset(_ASKING.split())
"""Words of asking and telling: they help to find passages, but a folder may answer without containing them."""

LIGHT = frozenset(stem(word) for word in ASKING)

_KIN = """
delete remove erase destroy purge uninstall
cancel terminate unsubscribe stop end quit
price cost pricing fee charge expensive cheap
pay payment purchase buy checkout
refund reimburse reimbursement moneyback
login signin log-in sign-in authenticate authentication
signup register registration join enroll
logout signout
password passphrase credentials
install installation setup set-up
configure configuration config settings options preferences customize customise
error errors exception failure fail fails failed crash bug
broken defective faulty damaged damage cracked crack smashed fault
fix repair solve resolve troubleshoot mend
create make generate
update upgrade
change modify edit alter
start launch begin run
ship delivery deliver dispatch post courier shipping postage
parcel package order shipment
arrive arrival arrived
email mail e-mail
picture image photo photograph
video movie film
document documentation docs
folder directory
limit quota maximum max restriction most
minimum min least
speed fast slow performance quick quickly
safe secure security safety
danger dangerous risk hazard threat harmful
vacation holiday pto
salary pay compensation wage
job position role career
employee staff worker
customer client buyer
company firm business organisation organization
kid child children baby
doctor physician medical
car vehicle
abroad overseas international foreign elsewhere
language translation translate locale
free gratis
guarantee warranty guaranteed
discount coupon voucher promo
invoice bill receipt billing
expire expiration expiry lapse ttl valid
keep retain retention store stored save kept
secret private confidential privacy
duration period
hours open opening
team group
permission permissions access rights allowed
forbidden prohibited banned illegal disallowed
share sharing
export download
import upload
backup restore
dependency dependencies
concurrent concurrency parallel simultaneously
database db
server host hosting
certificate ssl tls
timeout deadline
retry retries reattempt
show display list view
search find lookup
color colour
website site
laptop computer
leave resign quit
school education university student teacher
nonprofit charity
death die died bereavement deceased
moonlight freelance
unused extraneous orphaned
glasses vision eye
owner ownership
monitor monitoring observe
statistics stats analytics metrics
graph chart diagram
migrate migration move transfer moved
visitor visitors guest
snippet script
conversation chat dialogue
fabric cloth textile
cable cord flex wire
stain spot mark
method way option
policy rule
europe european eu
phd doctorate
apply application
requirement require need prerequisite
advantage benefit pro
disadvantage drawback con limitation
compare comparison versus difference
explain explanation meaning definition
undo revert rollback disable deactivate
enable activate
author writer
fund funding grant money
insurance insured coverage covered cover
address location place
phone telephone mobile call
contact reach
machine computer
test testing evaluation
regulation law legislation rule
goal aim objective purpose
photo picture
quality standard
material materials
recycle recycled recycling sustainability
allergy allergic allergen
animal pet
ticket pass
book reserve reservation booking
meal food
schedule timetable
participant attendee
class course lesson
beginner introductory introduction newcomer
donate donation
member membership
nearby near close
queue wait waiting
size dimension measurement
weight heavy
bag luggage
clean wash cleaning
empty blank
stuck hang hangs freeze frozen
automatic automatically auto
manual manually
offline disconnected
notify notification alert
symbol icon logo
"""

_BELOW = """
usa america us: states american america
uk britain england british scotland: kingdom british
eu: europe european
france germany spain italy netherlands belgium austria: european europe eu country
poland portugal sweden denmark finland greece: european europe eu country
switzerland norway japan china india australia brazil mexico: country international elsewhere
canada: country america
dog cat puppy kitten: pet animal
mastercard visa paypal klarna amex: card payment
monday tuesday wednesday thursday friday: weekday
saturday sunday: weekend
iphone android smartphone: phone mobile
macbook notebook: laptop computer
wattage: watt
daughter son teenager: child
wife husband spouse: partner
grandmother grandfather mother father: family relative
brokenly shattered: broken damage
sofa chair table: furniture
train bus taxi: transport
gpt chatgpt claude llama: model llm
"""


def _kin() -> dict[str, tuple[str, ...]]:
    groups: dict[str, set[str]] = {}
    for line in _KIN.strip().splitlines():
        group = {stem(word.replace("-", "")) for word in line.split()}
        for member in group:
            groups.setdefault(member, set()).update(group - {member})
    for line in _BELOW.strip().splitlines():
        narrow, _, wide = line.partition(":")
        for word in narrow.split():
            groups.setdefault(stem(word), set()).update(stem(above) for above in wide.split())
    return {word: tuple(sorted(others)) for word, others in groups.items()}


KIN = _kin()
"""By stem, those of words with a similar or a broader meaning, which count for less."""
