"""Writes src/facts.json: what models can do. From the PyPI packages litellm (MIT licence, Berri AI) and genai-prices (MIT
licence, Pydantic Services Inc.), which keep the providers' own pages as data.

    pip download --no-deps litellm==1.110.2 && pip install genai-prices==0.2.3
    python tools/make_models.py litellm-1.110.2-*.whl 2026-11-26

The last argument is the day for which the packages were read. Only models whose price is known by shared/pricing are taken,
and rerank models, which are not paid by the token.
"""

import json
import re
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

from genai_prices.data import providers

PACKAGE = "0.2.3"
# Theirs: the prefix of our references, and the provider in genai-prices.
PROVIDERS = {
    "openai": ("openai", "openai"), "anthropic": ("anthropic", "anthropic"), "gemini": ("gemini", "google"),
    "groq": ("groq", "groq"), "mistral": ("mistral", "mistral"), "deepseek": ("deepseek", "deepseek"),
    "xai": ("xai", "x-ai"), "together_ai": ("together", "together"), "cohere": ("cohere", "cohere"),
    "cohere_chat": ("cohere", "cohere"), "voyage": ("voyage", "voyageai"), "perplexity": ("perplexity", "perplexity"),
    "cerebras": ("cerebras", "cerebras"), "fireworks_ai": ("fireworks", "fireworks"), "moonshot": ("moonshotai", "moonshotai"),
    "zai": ("zai", "zai"), "jina_ai": ("jina", None),
}
KINDS = {"chat": "chat", "responses": "chat", "embedding": "embedding", "rerank": "rerank"}
CAN = {
    "tools": "supports_function_calling", "parallel_tools": "supports_parallel_function_calling",
    "json_schema": "supports_response_schema", "reasoning": "supports_reasoning", "prompt_caching": "supports_prompt_caching",
    "web_search": "supports_web_search", "prefill": "supports_assistant_prefill", "computer_use": "supports_computer_use",
}
READS = {"image": "supports_vision", "audio": "supports_audio_input", "video": "supports_video_input", "pdf": "supports_pdf_input"}
DATED = re.compile(r"-(\d{8}|\d{4}-\d{2}-\d{2})$")


def whole(value):
    return int(value) if isinstance(value, (int, float)) and value > 0 else None


def successor(reference, name):
    prefix = reference.split("/")[0]
    return f"{prefix}/{name.removeprefix(prefix + '/')}" if name else None


def fact(reference, kind, row, priced):
    window = priced.context_window if priced else None
    reads = ["text"] + [name for name, key in READS.items() if row.get(key)]
    writes = ["text", "audio"] if row.get("supports_audio_output") else ["text"]
    out = {
        "id": reference,
        "name": priced.name if priced and priced.id.lower() == reference.split("/", 1)[1].lower() else None,
        "kind": kind,
        "max_input_tokens": whole(row.get("max_input_tokens")) or window,
        "max_output_tokens": whole(row.get("max_output_tokens")) if kind == "chat" else None,
        "dimensions": whole(row.get("output_vector_size")) if kind == "embedding" else None,
        "input": reads,
        "output": {"chat": writes, "embedding": ["vector"], "rerank": ["score"]}[kind],
        "capabilities": [name for name, key in CAN.items() if row.get(key)],
        "retires_on": row.get("deprecation_date"),
        "successor": successor(reference, row.get("successor_model")),
    }
    return {key: value for key, value in out.items() if value not in (None, [])}


def by_token(priced):
    """Whether the list says what tokens of it cost; a few are free, or paid otherwise."""
    if not priced:
        return False
    rows = [row.prices for row in priced.prices] if isinstance(priced.prices, list) else [priced.prices]
    return all(row.input_mtok is not None or row.output_mtok is not None for row in rows)


def main():
    assert version("genai-prices") == PACKAGE, f"this catalogue is made from genai-prices {PACKAGE}"
    wheel = zipfile.ZipFile(sys.argv[1])
    rows = json.loads(wheel.read("litellm/model_prices_and_context_window_backup.json"))
    release = Path(sys.argv[1]).name.split("-")[1]
    price_lists = {provider.id: provider for provider in providers}
    facts = {}
    for name, row in rows.items():
        kind, known = KINDS.get(row.get("mode")), PROVIDERS.get(row.get("litellm_provider"))
        if not kind or not known or name.startswith("ft:") or "embedding-up-to" in name:
            continue
        prefix, list_of = known
        model = name.removeprefix(row["litellm_provider"] + "/").removeprefix(prefix + "/")
        if re.match(r"(us|eu|global|fast)/", model):
            continue
        priced = price_lists[list_of].find_model(model.lower()) if list_of else None
        if not by_token(priced) and (kind == "chat" or (kind == "embedding" and list_of)):
            continue
        facts.setdefault(f"{prefix}/{model}", fact(f"{prefix}/{model}", kind, row, priced))
    # A dated name that says nothing of its own is found by the name without the date.
    bare = lambda one: {key: value for key, value in one.items() if key not in ("id", "name")}
    for reference in list(facts):
        plain = facts.get(DATED.sub("", reference))
        if DATED.search(reference) and plain and bare(plain) == bare(facts[reference]):
            del facts[reference]
    head = {
        "as_of": sys.argv[2],
        "source": f"litellm {release} (https://pypi.org/project/litellm/), MIT licence, Berri AI; "
        f"genai-prices {PACKAGE} (https://pypi.org/project/genai-prices/), MIT licence, Pydantic Services Inc.",
    }
    lines = ",\n".join(json.dumps(facts[key], separators=(",", ":"), ensure_ascii=False) for key in sorted(facts))
    body = json.dumps(head, indent=1)[:-2] + ',\n "models": [\n' + lines + "\n]}\n"
    json.loads(body)
    Path(__file__).parent.parent.joinpath("src/facts.json").write_text(body)
    print(len(facts), "models of", len({key.split("/")[0] for key in facts}), "providers,", len(body.encode()), "bytes")


main()
