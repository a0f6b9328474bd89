"""Writes tests/oracle.json: generated usages with the cost that genai-prices (exact decimals) gives them.

    pip install genai-prices==0.2.3 && python tools/make_oracle.py

A case is [reference, time in µs, tier or null, counts of the buckets in the order of `buckets`, pico-USD rounded half up].
"""

import json
import random
from datetime import datetime, timedelta, timezone
from decimal import ROUND_HALF_UP, Decimal, getcontext
from importlib.metadata import version
from pathlib import Path

from genai_prices.data import providers
from genai_prices.types import Usage

PACKAGE = "0.2.3"
HERE = Path(__file__).parent.parent
CONTEXT = {"batch": "processing", "flex": "service_tier", "priority": "service_tier", "fast": "speed"}
BUCKETS = ["uncached", "cache_read", "cache_write", "cache_write_1h", "audio_input", "image_input", "output_text", "reasoning", "audio_output"]
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
EDGES = [1, 99_999, 100_000, 100_001, 127_999, 128_000, 128_001, 199_999, 200_000, 200_001, 271_999, 272_000, 272_001, 1_000_000]
random.seed(20261126)
getcontext().prec = 60  # the usual 28 digits would round before we do


def usage_of(c):
    n = dict(zip(BUCKETS, c))
    return Usage(
        input_tokens=sum(c[:6]), output_tokens=sum(c[6:]), cache_read_tokens=n["cache_read"],
        cache_write_tokens=n["cache_write"] + n["cache_write_1h"], cache_write_1h_tokens=n["cache_write_1h"],
        cache_write_5m_tokens=n["cache_write"],
        input_audio_tokens=n["audio_input"], input_image_tokens=n["image_input"],
        output_reasoning_tokens=n["reasoning"], output_audio_tokens=n["audio_output"],
        # What no bucket of ours has: parts that overlap.
        cache_audio_read_tokens=0, cache_image_read_tokens=0, cache_video_read_tokens=0, input_video_tokens=0, output_video_tokens=0,
        output_image_tokens=0,
    )


def counts(usd, prompt=None):
    """Counts for a model with these prices; with `prompt`, that many in all."""
    can = lambda key, most: random.choice([0, 1, 7, random.randrange(most)]) if key in usd else 0
    c = [
        random.choice([1, 3, 999, random.randrange(50_000)]) if "input" in usd else 0,
        random.choice([0, random.randrange(90_000)]) if "input" in usd else 0,
        can("cache_write", 20_000), can("cache_write_1h", 20_000), can("audio_input", 5_000), can("image_input", 5_000),
        random.choice([0, 1, 13, random.randrange(8_000)]) if "output" in usd else 0,
        random.choice([0, random.randrange(4_000)]) if "output" in usd else 0,
        can("audio_output", 2_000),
    ]
    if prompt is not None and "input" in usd:
        c[1:6] = [min(n, prompt // 8) for n in c[1:6]]
        c[0] = prompt - sum(c[1:6])
    return c


def main():
    assert version("genai-prices") == PACKAGE
    book = json.loads((HERE / "src/prices.json").read_text())
    theirs = {p.id: p for p in providers}
    names = {"gemini": "google", "xai": "x-ai"}
    cases, skipped = [], []
    for entry in book["models"]:
        prefix, name = entry["id"].split("/", 1)
        provider = theirs[names.get(prefix, prefix)]
        usd = {**entry["prices"][0]["usd"], **entry["prices"][-1]["usd"]}
        days = [datetime(2026, 11, 26, 12, tzinfo=timezone.utc)]
        for row in entry["prices"]:
            if "from" in row:
                begins = datetime.fromisoformat(row["from"]).replace(tzinfo=timezone.utc)
                days += [begins, begins - timedelta(microseconds=1)]
            for minute in row.get("hours", []):
                noon = datetime(2026, 11, 20, tzinfo=timezone.utc) + timedelta(minutes=minute)
                days += [noon, noon - timedelta(microseconds=1)]
        stepped = [step[0] for row in entry["prices"] for p in row["usd"].values() if isinstance(p, list) for step in p[1:]]
        interesting = stepped or len(days) > 1 or "audio_input" in usd or "reasoning" in usd or "cache_write_1h" in usd or "tiers" in entry
        if not interesting and random.random() > 0.35:
            continue
        for day in days:
            cases.append((entry, provider, name, day, None, counts(usd)))
        for edge in sorted({e for s in stepped for e in (s, s + 1)} | ({random.choice(EDGES)} if stepped else set())):
            cases.append((entry, provider, name, days[0], None, counts(usd, edge)))
        for tier in sorted({t["tier"] for t in entry.get("tiers", [])}):
            cases.append((entry, provider, name, days[0], tier, counts(usd)))
        for alias in random.sample(entry.get("names", []), min(1, len(entry.get("names", [])))):
            cases.append((entry, provider, alias, days[0], None, counts(usd)))
    out = []
    for entry, provider, name, day, tier, c in cases:
        info = provider.find_model(name) or next(m for m in provider.models if m.id.lower() == name)
        context = None
        if tier:
            values = [v.when for v in info.price_variants or []]
            context = next((w for w in values if tier in w.values()), None) or {CONTEXT[tier]: tier}
        price = info.calc_price(usage_of(c), provider, genai_request_timestamp=day, price_context=context)
        pusd = int((price.total_price * Decimal(10) ** 12).quantize(Decimal(1), ROUND_HALF_UP))
        at = (day - EPOCH) // timedelta(microseconds=1)
        prefix = entry["id"].split("/")[0]
        out.append([f"{prefix}/{name}", at, tier, c, pusd])
    head = {"source": f"genai-prices {PACKAGE}, MIT licence", "buckets": BUCKETS}
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in out)
    (HERE / "tests/oracle.json").write_text(json.dumps(head)[:-1] + ', "cases": [\n' + lines + "\n]}\n")
    print(len(out), "cases,", len({c[0] for c in out}), "models,", len({c[0].split("/")[0] for c in out}), "providers")


main()
