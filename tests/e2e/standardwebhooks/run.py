"""The PyPI library: one JSON object per line on standard input, its answer per line on standard output.

{"do":"sign","secret","id","at" (seconds),"body"} -> {"signature"}; {"do":"verify","secret","headers","body"} -> {"ok"}.
"""

import json
import sys
from datetime import datetime, timezone

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

for line in sys.stdin:
    asked = json.loads(line)
    webhook = Webhook(asked["secret"])
    if asked["do"] == "sign":
        at = datetime.fromtimestamp(asked["at"], tz=timezone.utc)
        answer = {"signature": webhook.sign(asked["id"], at, asked["body"])}
    else:
        try:
            webhook.verify(asked["body"], asked["headers"])
            answer = {"ok": True}
        except WebhookVerificationError:
            answer = {"ok": False}
    print(json.dumps(answer), flush=True)
