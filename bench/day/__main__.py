"""A day of visitors in a few minutes against the real service: `make bench BENCH=day`.

Two workers, Redis under Sentinels with a replica that every write waits for, operators at the desk. Visitors arrive as
a day's hours have it, read, reload, go on at another device, ask for a person; the service is deployed anew, workers
are killed, Redis fails over. At the end every conversation is compared with what its clients received, and what Redis
and the workers hold with a model that was made before. ``DAY_SESSIONS`` (2000) and ``DAY_SECONDS`` (180) size it:
``nice -n 15 env DAY_SESSIONS=100000 DAY_SECONDS=6000 make bench BENCH=day`` is the whole day of a busy service.
"""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import os  # noqa: E402
import random  # noqa: E402
import statistics  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from collections import Counter  # noqa: E402
from collections.abc import Iterable  # noqa: E402
from contextlib import ExitStack  # noqa: E402
from pathlib import Path  # noqa: E402

import gevent  # noqa: E402
from gevent.pool import Pool  # noqa: E402

from bench.day.api import Api  # noqa: E402
from bench.day.machines import LIVE_SECONDS, Fleet, Meter, held_bytes, incidents, live_bytes  # noqa: E402
from bench.day.people import Ledger, Operator, Plan, Timed, Visitor, check  # noqa: E402
from tests.storage.servers import Sentinels  # noqa: E402

SESSIONS = int(os.environ.get("DAY_SESSIONS", "2000"))
SECONDS = float(os.environ.get("DAY_SECONDS", "180"))
SEED = int(os.environ.get("DAY_SEED", "1"))
OPERATORS = 3
HOURS = (2, 1, 1, 1, 1, 2, 3, 5, 8, 10, 11, 11, 10, 10, 10, 10, 9, 8, 8, 8, 7, 6, 4, 3)
"""How many of 149 visitors come in each hour."""
READING = 45.0
"""Seconds of a real day between two questions."""
KEY = "key-of-the-bench-0123456789"
SETTINGS = {
    "BATON_ENGINE": "python:bench.day.engine:answer",
    "BATON_API_KEY": KEY,
    "BATON_DESK": "on",
    "BATON_WAIT_REPLICAS": "1",
    "BATON_ENGINE_CONCURRENCY": "4000",
    "BATON_ENGINE_PER_MINUTE": "1000000",
    "BATON_FEEDS_PER_ADDRESS": "100000",
    "BATON_LOG_LEVEL": "warning",
    **dict.fromkeys(("BATON_RATE_LIMIT_CREATE", "BATON_RATE_LIMIT_SESSION", "BATON_RATE_LIMIT_ADDRESS"), ""),
}
SAMPLES = ((1, 0, 0), (4, 0, 0), (1, 4, 0), (1, 0, 3))
"""Questions, appends and operators' messages of the sessions that the model is made from."""
SAMPLE_SESSIONS = 60
UPSET_SECONDS = 12.0
"""So long after each incident its calls do not count as those of a calm hour."""
TOLERANCE = 0.2


def plans() -> list[tuple[float, Plan]]:
    """When each visitor comes, in seconds, and what they are going to do."""
    chance, made = random.Random(SEED), []
    for number in range(SESSIONS):
        hour = chance.choices(range(24), HOURS)[0] + chance.random()
        plan = Plan(
            number,
            questions=chance.choices((1, 2, 3, 4, 6, 10), (30, 25, 18, 14, 9, 4))[0],
            appends=chance.choices((0, 1, 2), (70, 20, 10))[0],
            pause=READING * SECONDS / 86_400,
            reloads=0.2,
            hands_over=chance.random() < 0.25,
            wants_person=chance.random() < 0.03,
            ends=chance.random() < 0.3,
        )
        made.append((hour / 24 * SECONDS, plan))
    return sorted(made, key=lambda one: one[0])


class Model:
    """What a session takes in Redis, by its questions, appends and operators' messages: learned from a few that were
    made for it.
    """

    def __init__(self, fleet: Fleet, sentinels: Sentinels) -> None:
        costs, lives, ledger = [], [], Ledger()
        made: dict[int, Visitor] = {}
        operator = Operator(fleet, KEY, "Sample", made, ledger)
        with sentinels.primary().client() as client:
            for sample, (questions, appends, answers) in enumerate((SAMPLES[0], *SAMPLES)):  # the first only warms up
                before, live_before = held_bytes(client), live_bytes(client)
                pool, first = Pool(20), 10_000_000 + sample * 1000
                for number in range(first, first + SAMPLE_SESSIONS):
                    made[number] = Visitor(Api(fleet, {}, ledger.statuses), Plan(number, questions, appends), ledger)
                    pool.spawn(made[number].live)
                pool.join()
                time.sleep(2)  # the desk's index follows
                for _ in range(answers):
                    operator.answer_each(range(first, first + SAMPLE_SESSIONS))
                time.sleep(2)  # the desk's index follows
                costs.append((held_bytes(client) - before) / SAMPLE_SESSIONS)
                lives.append((live_bytes(client) - live_before) / SAMPLE_SESSIONS)
        for visitor in made.values():
            visitor.api.call("DELETE", f"/api/session/{visitor.session_id}")
            visitor.api.close()
        self.fresh, self.live = _fit(costs[1:]), _fit(lives[1:])

    def predict(self, visitors: Iterable[Visitor], now: float) -> tuple[float, float, float]:
        """The bytes of these conversations; those of their messages alone; and those of all live events, of which the
        old ones are gone.
        """
        total = rested = live = 0.0
        for visitor in visitors:
            kinds = Counter(name[0] for name in visitor.acknowledged)
            shape = (1, kinds["q"], kinds["a"], kinds["o"])
            events = sum(cost * count for cost, count in zip(self.live, shape, strict=True))
            messages = sum(cost * count for cost, count in zip(self.fresh, shape, strict=True)) - events
            total += messages + (events if now - visitor.last_at < LIVE_SECONDS else 0.0)
            rested, live = rested + messages, live + events
        return total, rested, live


def _fit(measured: list[float]) -> tuple[float, ...]:
    """Bytes of an empty session, of a question, of an append and of an operator's message, out of those of SAMPLES."""
    question = (measured[1] - measured[0]) / 3
    append = (measured[2] - measured[0]) / 4
    answer = (measured[3] - measured[0]) / 3
    return measured[0] - question, question, append, answer


def main() -> None:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="baton-day-")))
        sentinels = Sentinels(folder, replicas=2)
        stack.callback(sentinels.stop)
        fleet = Fleet(sentinels.url, SETTINGS)
        stack.callback(fleet.remove)
        meter = Meter(fleet, sentinels.data)
        stack.callback(meter.stop)
        sys.exit(run(fleet, sentinels, meter))


def run(fleet: Fleet, sentinels: Sentinels, meter: Meter) -> int:
    model = Model(fleet, sentinels)
    meter.look()
    warm = statistics.mean(meter.resident.values())
    with sentinels.primary().client() as client:
        before = held_bytes(client)
    used = {kind: meter.cpu(kind) for kind in ("service", "redis")}

    ledger = Ledger()
    arrivals = plans()
    visitors: dict[int, Visitor] = {}
    operators = [Operator(fleet, KEY, f"Operator {number}", visitors, ledger) for number in range(OPERATORS)]
    working = [gevent.spawn(operator.work) for operator in operators]
    began, pool, no_headers = time.monotonic(), Pool(2000), {}
    happening = gevent.spawn(happen, fleet, sentinels, began, ledger)
    for at, plan in arrivals:
        gevent.sleep(max(0.0, began + at - time.monotonic()))
        visitors[plan.number] = Visitor(Api(fleet, no_headers, ledger.statuses), plan, ledger, SEED)
        pool.spawn(visitors[plan.number].live)
    pool.join()
    happening.join()
    for operator in operators:
        operator.going = False
    gevent.joinall(working)
    took = time.monotonic() - began
    used = {kind: meter.cpu(kind) - seconds for kind, seconds in used.items()}

    time.sleep(2)
    with sentinels.primary().client() as client:
        held, predicted = held_bytes(client) - before, model.predict(visitors.values(), time.monotonic())
    resident = statistics.mean(meter.resident.values())
    found: Counter[str] = Counter()
    checking = Pool(20)
    for one in checking.imap_unordered(check, [visitor for visitor in visitors.values() if visitor.session_id]):
        found.update(one)
    return report(ledger, happening.value, found, took, (held, predicted), (resident, warm), used)


def happen(fleet: Fleet, sentinels: Sentinels, began: float, ledger: Ledger) -> list[float]:
    """What befalls the service, each at its hour; when it did."""
    times = []
    for hour, name, befall in incidents(fleet, sentinels):
        gevent.sleep(max(0.0, began + hour / 24 * SECONDS - time.monotonic()))
        print(f"{hour:5.1f} h  {name}", flush=True)
        ledger.did[name] += 1
        times.append(time.monotonic())
        befall()
        print(f"         done after {time.monotonic() - times[-1]:.1f} s", flush=True)
    return times


def report(
    ledger: Ledger,
    upset: list[float],
    found: Counter[str],
    took: float,
    redis: tuple[float, tuple[float, float, float]],
    worker: tuple[float, float],
    used: dict[str, float],
) -> int:
    """Prints the figures; 1 where something was lost, doubled or foreign, or the model is out."""
    print(f"\nA day of {SESSIONS:,} sessions in {took:.0f} s")
    print(", ".join(f"{name}: {count:,}" for name, count in sorted(ledger.did.items())))
    print("responses by status (0: none): " + ", ".join(f"{k}: {v:,}" for k, v in sorted(ledger.statuses.items())))
    print(f"lost {found['lost']}, doubled {found['doubled']}, foreign {found['foreign']}, unequal {found['unequal']}\n")
    print(f"{'':14}{'calm hours':>18}{'whole day':>18}\n{'':14}{'p50':>9}{'p99':>9}{'p50':>9}{'p99':>9}")
    for name in ("append", "first_token", "hand_over"):
        timed = getattr(ledger, name)
        calm = [one for one in timed if not any(0 < one[0] - at < UPSET_SECONDS for at in upset)]
        figures = (*percentiles(calm), *percentiles(timed))
        print(f"{name.replace('_', ' '):14}" + "".join(f"{figure:6.0f} ms" for figure in figures))
    print(f"\n{'':14}{'measured':>12}{'model':>12}{'ratio':>8}")
    ratios = []
    for name, (measured, predicted) in (("Redis", (redis[0], redis[1][0])), ("a worker", worker)):
        ratios.append(measured / predicted)
        print(f"{name:14}{measured / 1e6:9.1f} MB{predicted / 1e6:9.1f} MB{ratios[-1]:8.2f}")
    questions = max(1, ledger.did["questions"])
    for kind, seconds in used.items():
        print(f"CPU of {kind}: {seconds:.0f} s, {seconds / questions * 1000:.1f} ms a question")
    table(used["service"] / questions, used["redis"] / questions, redis[1], questions / SESSIONS)
    harmed = sum(found.values()) or any(name.startswith("given up") for name in ledger.did)
    return int(bool(harmed) or any(abs(ratio - 1) > TOLERANCE for ratio in ratios))


def percentiles(timed: list[Timed]) -> tuple[float, float]:
    """p50 and p99 in milliseconds."""
    times = sorted(seconds * 1000 for _, seconds in timed) or [0.0]
    return times[len(times) // 2], times[min(len(times) - 1, len(times) * 99 // 100)]


def table(service: float, redis: float, sizes: tuple[float, float, float], questions: float) -> None:
    """The day's figures for other sizes, in Markdown: a core is to be half idle in the busiest hour, conversations are
    kept for a day, and their live events for five minutes.
    """
    peak = max(HOURS) / sum(HOURS)
    size = (sizes[1] + sizes[2] * peak / 12) / SESSIONS
    print("\n| sessions a day | questions/s in the busiest hour | worker cores | Redis cores | memory of Redis |")
    print("| --- | --- | --- | --- | --- |")
    for sessions in (1_000, 10_000, 100_000, 1_000_000):
        rate = sessions * questions * peak / 3600
        print(
            f"| {sessions:,} | {rate:.1f} | {rate * service / 0.5:.1f} | {rate * redis / 0.5:.2f} "
            f"| {sessions * size / 1e9:.2f} GB |"
        )


if __name__ == "__main__":
    main()
