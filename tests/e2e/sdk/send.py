"""Sends spans with OpenTelemetry's SDK and prints them as the SDK itself reports them.

    send.py sdk|openinference|openllmetry ENDPOINT TOKEN PROVIDER

ENDPOINT takes OTLP/HTTP, PROVIDER speaks OpenAI's protocol. One JSON on stdout: {"spans": [...]}.
"""

import base64
import json
import math
import sys

import openai
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanKind, Status, StatusCode, TraceState
from opentelemetry.trace import SpanContext, TraceFlags, set_span_in_context


class Loud(OTLPSpanExporter):
    """An exporter whose failure ends the script."""

    failed = False

    def export(self, spans):
        result = super().export(spans)
        Loud.failed |= result is not SpanExportResult.SUCCESS
        return result


def provider(endpoint, token, compression, scope):
    """A tracer provider that exports over the network and into memory."""
    resource = Resource.create({"service.name": "sdk-stand", "deployment.ring": 3, "日本": "語"})
    made = TracerProvider(resource=resource, span_limits=SpanLimits(max_span_attributes=400))
    headers = {"authorization": f"Bearer {token}"}
    exporter = Loud(endpoint=endpoint, headers=headers, compression=compression, timeout=30)
    memory = InMemorySpanExporter()
    made.add_span_processor(SimpleSpanProcessor(exporter))
    made.add_span_processor(SimpleSpanProcessor(memory))
    return made, memory, made.get_tracer(*scope)


def plain(value):
    """A value as JSON, as the API shows it: bytes in base64, what is no number by its name."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    if hasattr(value, "items"):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    return value


def told(span):
    """A finished span as the SDK tells it."""
    scope = span.instrumentation_scope
    return {
        "trace_id": f"{span.context.trace_id:032x}",
        "span_id": f"{span.context.span_id:016x}",
        "parent_span_id": f"{span.parent.span_id:016x}" if span.parent else None,
        "name": span.name,
        "kind": span.kind.name.lower(),
        "status": span.status.status_code.name.lower(),
        "status_message": span.status.description,
        "start_ns": span.start_time,
        "end_ns": span.end_time,
        "attributes": plain(span.attributes),
        "resource": plain(span.resource.attributes),
        "scope": {"name": scope.name, "version": scope.version or "", "attributes": plain(scope.attributes or {})},
        "trace_state": span.context.trace_state.to_header(),
        "events": [
            {"name": e.name, "at_ns": e.timestamp, "attributes": plain(e.attributes or {})} for e in span.events
        ],
        "links": [
            {
                "trace_id": f"{link.context.trace_id:032x}",
                "span_id": f"{link.context.span_id:016x}",
                # Its exporter leaves the state of a link out.
                "trace_state": "",
                "attributes": plain(link.attributes or {}),
            }
            for link in span.links
        ],
    }


def elsewhere(number, state=()):
    """A span of another service."""
    return SpanContext(
        trace_id=0xA0A0 << 112 | number, span_id=0xB0B0 << 48 | number, is_remote=True,
        trace_flags=TraceFlags(TraceFlags.SAMPLED), trace_state=TraceState(list(state)),
    )


def by_hand(tracer):
    """Every kind of span, value, event and link that the SDK can make."""
    with tracer.start_as_current_span("root", kind=SpanKind.SERVER) as root:
        root.set_attributes({
            "text": "日本語 🜁 \"quoted\" \\ back\nline\ttab", "empty": "", "long": "長い文 " * 2_000,
            "true": True, "false": False, "zero": 0, "largest": 2**63 - 1, "least": -(2**63),
            "tenth": 0.1, "whole": 3.0, "huge": 1.7976931348623157e308, "tiny": 5e-324, "third": 1 / 3,
            "nan": math.nan, "infinite": math.inf, "minus_infinite": -math.inf,
            "texts": ["a", "", "ü"], "truths": [True, False], "numbers": [1, -2, 2**53 + 1],
            "floats": [0.5, 1e-9, 1e21], "none_of_them": [], "a.dotted.name": "x", "Name With Spaces é": "y",
            "quote\"and\\back": "z",
            # Names that a server gives a meaning to, with values that it cannot use.
            "gen_ai.usage.input_tokens": "many", "nodeai.workflow_id": "no id", "session.id": 17,
            "tag.tags": "[1, 2", "user.id": ["no", "text"],
        })
        root.set_attributes({f"many.{n:03}": n for n in range(200)})
        root.add_event("first", {"n": 1, "list": ["x", "y"], "日": "本"}, timestamp=root.start_time + 1_000)
        root.add_event("without attributes")
        root.add_event("big", {"body": "0123456789" * 500})
        for kind in SpanKind:
            with tracer.start_as_current_span(f"child {kind.name}", kind=kind) as child:
                child.set_attribute("kind", kind.name)
        try:
            with tracer.start_as_current_span("fails"):
                raise ValueError("it was not to be: ünïcode")
        except ValueError:
            pass
        with tracer.start_as_current_span("ends well") as well:
            well.set_status(Status(StatusCode.OK))
        links = [Link(elsewhere(1, [("vendor", "v1"), ("other", "o")]), {"why": "batch", "n": 2, "all": [1.5, 2.5]}),
                 Link(elsewhere(2))]
        with tracer.start_as_current_span("linked", links=links, kind=SpanKind.CONSUMER):
            pass
    remote = set_span_in_context(trace.NonRecordingSpan(elsewhere(3, [("rojo", "00f067aa0ba902b7")])))
    with tracer.start_as_current_span("under a remote parent", context=remote):
        pass


def by_openai(tracer, url):
    """Calls that an instrumentation of the official client sees."""
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="sk-stand", max_retries=0)
    tools = [{"type": "function", "function": {
        "name": "weather", "description": "tells it",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}]
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hallo Welt, 你好"}]
    with tracer.start_as_current_span("conversation"):
        client.chat.completions.create(model="gpt-4o-mini", messages=messages, temperature=0.25, max_tokens=64, tools=tools)
        stream = client.chat.completions.create(
            model="gpt-4o-mini", messages=messages, stream=True, stream_options={"include_usage": True})
        for _ in stream:
            pass
        client.embeddings.create(model="text-embedding-3-small", input=["one text", "another"], encoding_format="float")
        try:
            client.chat.completions.create(model="always-500", messages=messages)
        except openai.APIStatusError:
            pass


def main():
    what, endpoint, token, url = sys.argv[1:]
    scope = ("a.library", "1.2.3", "https://example.com/schema/1", {"scope.attribute": "s", "scope.number": 4})
    compression = Compression.NoCompression if what == "openllmetry" else Compression.Gzip
    made, memory, tracer = provider(endpoint, token, compression, scope)
    if what == "sdk":
        by_hand(tracer)
    else:
        if what == "openinference":
            from openinference.instrumentation.openai import OpenAIInstrumentor
        else:
            from opentelemetry.instrumentation.openai import OpenAIInstrumentor
        OpenAIInstrumentor().instrument(tracer_provider=made)
        by_openai(tracer, url)
    made.shutdown()
    if Loud.failed:
        sys.exit("the exporter failed")
    json.dump({"spans": [told(span) for span in memory.get_finished_spans()]}, sys.stdout)


main()
