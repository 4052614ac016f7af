"""What everybody's English holds: words that ask, words that weigh little, words that mean nearly the same."""

from __future__ import annotations

from app.engines.knowledge.words import stem

STOP = frozenset(
    """
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
    """.split()
)
"""Left out of a query. Kept in the index, so that nothing is lost to phrases."""

ASKING = frozenset(
    """
    able advice anyhow appreciate ask asked asking asks assist assistance believe best better bit bother chance clue
    confused could curious describe details detail difference differences different elaborate exactly example examples
    explain explained explaining explanation feel figure find finding found get gets getting give given gives go goes
    going good got great guess guide guidance guy happen happened happening happens hard hear heard help helpful helps
    hope hoping idea info information interested kind know knowing known learn let lately long look looked looking looks
    love matter mind need needed needing needs please possible possibly proper properly purpose question questions quick
    quickly reason recommend recommended regarding right said seem seems see seeing show showing simple simply sort
    stuff suggest supposed talk tell telling thanks think thinking thought told tried try trying understand
    understanding understood walk want wanted wanting wants way ways wish wonder wondering word work worked working
    works wrong yesterday today tomorrow tonight currently old new now often please really come comes coming keep keeps
    keeping kept make makes making made take takes taking took put puts use used uses using usage every far fast big
    small little large bad nice okay fine day days week weeks month months year years time times hour hours minute
    minutes people person someone friend friends guys man woman everyone colleague boss team bought am pm thing lot
    number amount actual basically certain certainly clear clearly common default easy easily enough entire first last
    second full general generally important main normal normally particular point several similar single specific
    usual various full start started starting stop happened allow allowed allows let possible support supported supports
    handle handles set sets setting settings setup change changed changes add added adding check run running call called
    calls two three four five ten end ends ended ending turn turned turning turns bring become becomes hold stay live lives
    undo somehow away side top bottom part parts kind whole hand hands onto piece reach
    """.split()
)
"""Words of asking and telling: they retrieve, but their absence from a folder says little."""

LIGHT = frozenset(stem(word) for word in ASKING)

_KIN = """
delete remove erase destroy purge uninstall
cancel terminate unsubscribe stop end quit
price cost pricing fee charge expensive cheap
pay payment purchase buy checkout
refund reimburse reimbursement moneyback
return send-back
login signin log-in sign-in authenticate authentication
signup register registration join enroll
logout signout
password passphrase credentials
install installation setup set-up
configure configuration config settings options preferences customize customise
error errors exception failure fail fails failed crash bug
undo revert rollback disable deactivate
enable activate
broken defective faulty damaged
fix repair solve resolve troubleshoot mend
create make generate
update upgrade
change modify edit alter
start launch begin run
ship delivery deliver dispatch post courier
arrive arrival
phone telephone mobile
email mail e-mail
contact reach support
picture image photo
video movie film
document documentation docs
folder directory
file files
limit quota maximum max restriction
minimum min
speed fast slow performance quick
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
country nation international abroad overseas
language translation translate locale
free gratis
guarantee warranty
discount coupon voucher promo
invoice bill receipt billing
trial demo
expire expiration expiry lapse ttl
keep retain retention store stored save
secret private confidential privacy
key token
duration long period
hours open opening
team group
permission permissions access rights allowed
share sharing
export download
import upload
backup restore
version release
dependency dependencies
test testing
debug debugging
log logs logging
database db
server host hosting
proxy proxies
certificate ssl tls
timeout deadline
retry retries reattempt
parallel concurrent concurrency simultaneously
show display list view
search find lookup
size big large
color colour
website site
ai artificial-intelligence
laptop computer
quit leave resign
school education university student teacher
nonprofit charity
pet dog cat animal
death die died bereavement deceased passed
side-job moonlight freelance
kill terminate
machine computer
vulnerability vulnerabilities
unused extraneous orphaned
owner ownership
glasses vision
token tokens
warn warning notice
announce announcement
monitor monitoring observe
statistics stats analytics metrics
graph chart diagram
subscription plan membership
migrate migration move transfer
visitor visitors guest
billings bill
wages salary
folder workspace
snippet script code tag embed
conversation chat dialogue
"""


def _kin() -> dict[str, tuple[str, ...]]:
    groups: dict[str, set[str]] = {}
    for line in _KIN.strip().splitlines():
        group = {stem(word.replace("-", "")) for word in line.split()}
        for member in group:
            groups.setdefault(member, set()).update(group - {member})
    return {word: tuple(sorted(others)) for word, others in groups.items()}


KIN = _kin()
"""Stems that may stand for another in a question, at a discount."""
