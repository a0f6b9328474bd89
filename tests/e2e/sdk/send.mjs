// Sends spans with OpenTelemetry's SDK for Node.js and prints them as the SDK itself reports them.
//
//     node send.mjs proto|json ENDPOINT TOKEN
//
// One JSON on stdout: {"spans": [...]}.

import { ROOT_CONTEXT, SpanKind, SpanStatusCode, TraceFlags, createTraceState, trace } from '@opentelemetry/api';
import { OTLPTraceExporter as JsonExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { OTLPTraceExporter as ProtoExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';
import { NodeTracerProvider } from '@opentelemetry/sdk-trace-node';

const [encoding, url, token] = process.argv.slice(2);
const Exporter = encoding === 'json' ? JsonExporter : ProtoExporter;
const exporter = new Exporter({
  url, headers: { authorization: `Bearer ${token}` }, compression: encoding === 'json' ? 'none' : 'gzip', timeoutMillis: 30000,
});
let failed = null;
const send = exporter.export.bind(exporter);
exporter.export = (spans, done) => send(spans, (result) => {
  failed = failed ?? (result.code === 0 ? null : String(result.error ?? 'no reason'));
  done(result);
});
const memory = new InMemorySpanExporter();
const provider = new NodeTracerProvider({
  resource: resourceFromAttributes({ 'service.name': 'sdk-stand', 'deployment.ring': 3, 日本: '語' }),
  spanProcessors: [new SimpleSpanProcessor(exporter), new SimpleSpanProcessor(memory)],
  spanLimits: { attributeCountLimit: 400 },
});
const tracer = provider.getTracer('a.library', '1.2.3');

const nanos = ([seconds, rest]) => String(BigInt(seconds) * 1_000_000_000n + BigInt(rest));
const kinds = ['internal', 'server', 'client', 'producer', 'consumer'];
const told = (span) => ({
  trace_id: span.spanContext().traceId,
  span_id: span.spanContext().spanId,
  parent_span_id: span.parentSpanContext?.spanId ?? null,
  name: span.name,
  kind: kinds[span.kind],
  status: ['unset', 'ok', 'error'][span.status.code],
  status_message: span.status.message ?? null,
  start_ns: nanos(span.startTime),
  end_ns: nanos(span.endTime),
  attributes: span.attributes,
  resource: span.resource.attributes,
  scope: { name: span.instrumentationScope.name, version: span.instrumentationScope.version ?? '', attributes: {} },
  trace_state: span.spanContext().traceState?.serialize() ?? '',
  events: span.events.map((e) => ({ name: e.name, at_ns: nanos(e.time), attributes: e.attributes ?? {} })),
  links: span.links.map((link) => ({
    trace_id: link.context.traceId, span_id: link.context.spanId,
    trace_state: link.context.traceState?.serialize() ?? '', attributes: link.attributes ?? {},
  })),
});

const elsewhere = (number, state) => ({
  traceId: `a0a0${number.padStart(28, '0')}`, spanId: `b0b0${number.padStart(12, '0')}`, isRemote: true,
  traceFlags: TraceFlags.SAMPLED, traceState: state && createTraceState(state),
});

const root = tracer.startSpan('root', { kind: SpanKind.SERVER }, ROOT_CONTEXT);
root.setAttributes({
  text: '日本語 🜁 "quoted" \\ back\nline\ttab', empty: '', long: '長い文 '.repeat(2000), true: true, false: false, zero: 0,
  large: Number.MAX_SAFE_INTEGER, least: Number.MIN_SAFE_INTEGER, beyond: 2 ** 60, tenth: 0.1,
  tiny: Number.MIN_VALUE, third: 1 / 3, texts: ['a', '', 'ü'], truths: [true, false], numbers: [1, -2, 2 ** 52],
  floats: [0.5, 1e-9, 1e-21], none_of_them: [], 'a.dotted.name': 'x', 'Name With Spaces é': 'y', 'quote"and\\back': 'z',
  'gen_ai.usage.input_tokens': 'many', 'nodeai.workflow_id': 'no id', 'session.id': 17, 'tag.tags': '[1, 2', 'user.id': ['no', 'text'],
});
// Without a fraction these are integers to the SDK: in protobuf it writes other numbers in their place, in JSON the true ones.
if (encoding === 'json') root.setAttributes({ huge: Number.MAX_VALUE, more: 1e21 });
for (let n = 0; n < 200; n += 1) root.setAttribute(`many.${String(n).padStart(3, '0')}`, n);
root.addEvent('first', { n: 1, list: ['x', 'y'], 日: '本' });
root.addEvent('without attributes');
root.addEvent('big', { body: '0123456789'.repeat(500) });
const under = trace.setSpan(ROOT_CONTEXT, root);
kinds.forEach((name, kind) => {
  const child = tracer.startSpan(`child ${name}`, { kind }, under);
  child.setAttribute('kind', name);
  child.end();
});
const fails = tracer.startSpan('fails', {}, under);
fails.recordException(new Error('it was not to be: ünïcode'));
fails.setStatus({ code: SpanStatusCode.ERROR, message: 'it was not to be' });
fails.end();
const well = tracer.startSpan('ends well', {}, under);
well.setStatus({ code: SpanStatusCode.OK });
well.end();
tracer.startSpan('linked', {
  kind: SpanKind.CONSUMER,
  links: [
    { context: elsewhere('1', 'vendor=v1,other=o'), attributes: { why: 'batch', n: 2, all: [1.5, 2.5] } },
    { context: elsewhere('2') },
  ],
}, under).end();
root.end();
tracer.startSpan('under a remote parent', {}, trace.setSpanContext(ROOT_CONTEXT, elsewhere('3', 'rojo=00f067aa0ba902b7'))).end();

await provider.forceFlush();
const spans = memory.getFinishedSpans().map(told);
await provider.shutdown();
if (failed) {
  console.error(`the exporter failed: ${failed}`);
  process.exit(1);
}
process.stdout.write(JSON.stringify({ spans }));
