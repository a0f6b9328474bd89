"""Writes src/prices.json, the price catalogue, from the PyPI package genai-prices (MIT licence, Pydantic Services Inc.).

    pip install genai-prices==0.2.3 && python tools/make_catalogue.py 2026-11-26

The argument is the day for which the package was read: prices that begin later are kept, they count from their day on.
"""

import json
import sys
from datetime import time, timezone
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path

from genai_prices.data import providers
from genai_prices.types import (
    ClauseEquals, ClauseOr, ClauseStartsWith, StartDateConstraint, TieredPrices, TimeOfDateConstraint,
)

PACKAGE = "0.2.3"
# Their provider, and the prefix of our references.
PROVIDERS = {
    "openai": "openai", "anthropic": "anthropic", "google": "gemini", "groq": "groq", "mistral": "mistral",
    "deepseek": "deepseek", "x-ai": "xai", "together": "together", "cohere": "cohere", "perplexity": "perplexity",
    "cerebras": "cerebras", "moonshotai": "moonshotai", "azure": "azure", "fireworks": "fireworks",
    "voyageai": "voyage", "zai": "zai",
}
BUCKETS = {
    "input_mtok": "input", "output_mtok": "output", "cache_read_mtok": "cache_read", "cache_write_mtok": "cache_write",
    "cache_write_1h_mtok": "cache_write_1h", "input_audio_mtok": "audio_input", "output_audio_mtok": "audio_output",
    "input_image_mtok": "image_input", "output_reasoning_mtok": "reasoning", "requests_kcount": "kilo_requests",
}
TIERS = {"batch": "batch", "flex": "flex", "priority": "priority", "fast": "fast"}


def text(number: Decimal) -> str:
    return format(number.normalize(), "f")


def price(value):
    if isinstance(value, TieredPrices):
        return [text(value.base)] + [[tier.start, text(tier.price)] for tier in value.tiers]
    return text(value)


def prices_of(prices):
    """The prices of buckets that we count; none where tokens alone do not say the cost."""
    return {BUCKETS[key]: price(value) for key, value in sorted(prices.__dict__.items()) if key in BUCKETS and value is not None}


def clauses(match):
    if isinstance(match, ClauseOr):
        for clause in match.or_:
            yield from clauses(clause)
    else:
        yield match


def when(constraint):
    if constraint is None:
        return {}
    if isinstance(constraint, StartDateConstraint):
        return {"from": constraint.start_date.isoformat()}
    assert isinstance(constraint, TimeOfDateConstraint)
    for end in (constraint.start_time, constraint.end_time):
        assert end.tzinfo in (None, timezone.utc) and end.second == 0 and isinstance(end, time)
    return {"hours": [minute(constraint.start_time), minute(constraint.end_time)]}


def minute(at: time) -> int:
    return at.hour * 60 + at.minute


def model(prefix, info):
    listed = info.prices if isinstance(info.prices, list) else None
    rows = [(c.constraint, c.prices) for c in listed] if listed else [(None, info.prices)]
    rows = [{**when(constraint), "usd": prices_of(prices)} for constraint, prices in rows]
    if not all("input" in row["usd"] or "output" in row["usd"] for row in rows):
        return None
    if info.id == "sonar-deep-research":
        return None  # billed by citations and searches as well
    tiers = []
    for variant in info.price_variants or []:
        [(key, value)] = variant.when.items()
        if key in ("processing", "service_tier", "speed") and value in TIERS:
            usd = prices_of(variant.prices)
            if usd:
                tiers.append({"tier": TIERS[value], **when(variant.constraint), "usd": usd})
    flat = list(clauses(info.match))
    names = sorted({c.equals.lower() for c in flat if isinstance(c, ClauseEquals)} - {info.id.lower()})
    prefixes = sorted({c.starts_with.lower() for c in flat if isinstance(c, ClauseStartsWith)})
    out = {"id": f"{prefix}/{info.id.lower()}", "names": names, "prefixes": prefixes, "prices": rows, "tiers": tiers}
    return {key: value for key, value in out.items() if value != []}


def main():
    assert version("genai-prices") == PACKAGE, f"this catalogue is made from genai-prices {PACKAGE}"
    models = []
    for provider in providers:
        prefix = PROVIDERS.get(provider.id)
        if prefix:
            made = [model(prefix, info) for info in provider.models]
            models += sorted((m for m in made if m), key=lambda m: m["id"])
    head = {
        "version": f"genai-prices-{PACKAGE}",
        "as_of": sys.argv[1],
        "source": f"genai-prices {PACKAGE} (https://pypi.org/project/genai-prices/), MIT licence, Pydantic Services Inc.",
        "unit": "USD per million tokens (kilo_requests: per 1,000 requests); [base, [above, price]…] by tokens of the whole prompt",
    }
    lines = ",\n".join(json.dumps(m, separators=(",", ":")) for m in models)
    body = json.dumps(head, indent=1)[:-2] + ',\n "models": [\n' + lines + "\n]}\n"
    json.loads(body)
    Path(__file__).parent.parent.joinpath("src/prices.json").write_text(body)
    print(len(models), "models of", len({m["id"].split("/")[0] for m in models}), "providers,", len(body), "bytes")


main()
