"""Reads every answer of the stand-in's files and fine-tuning with OpenAI's own client, which checks their shapes.

    python finetune.py http://127.0.0.1:4000
"""

import json
import sys

from openai import OpenAI, RateLimitError


def validated(value):
    """The model of the client, refused when the answer lacks what it requires: the client itself is lenient."""
    type(value).model_validate(value.model_dump())
    return value


client = OpenAI(api_key="k", base_url=sys.argv[1] + "/v1", max_retries=0)
example = {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]}
content = (json.dumps(example) + "\n") * 10
file = validated(client.files.create(file=("train.jsonl", content.encode()), purpose="fine-tune"))
assert file.status == "processed" and file.bytes == len(content), file
assert client.files.content(file.id).text == content
job = validated(client.fine_tuning.jobs.create(model="stand-in", training_file=file.id))
assert job.status == "validating_files", job
assert validated(client.fine_tuning.jobs.retrieve(job.id)).status == "running"
# The reference has this state, the client's own list of states has not.
assert client.fine_tuning.jobs.pause(job.id).status == "paused"
assert validated(client.fine_tuning.jobs.resume(job.id)).status == "running"
events = [validated(event) for event in client.fine_tuning.jobs.list_events(job.id)]
assert len(events) == 4 and events[-1].message == "Created", events
checkpoints = [validated(one) for one in client.fine_tuning.jobs.checkpoints.list(job.id)]
assert checkpoints[0].step_number == 10, checkpoints
done = validated(client.fine_tuning.jobs.retrieve(job.id))
assert done.status == "succeeded" and done.fine_tuned_model, done
assert [one.id for one in client.fine_tuning.jobs.list()] == [job.id]
other = client.fine_tuning.jobs.create(model="stand-in-slow", training_file=file.id)
assert validated(client.fine_tuning.jobs.cancel(other.id)).status == "cancelled"
try:
    client.fine_tuning.jobs.create(model="stand-in-429", training_file=file.id)
    raise SystemExit("a job of a busy model was made")
except RateLimitError:
    pass
print("ok")
