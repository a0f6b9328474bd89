-- Spans that could not be flushed come back from the log: OTLP JSON (the protobuf JSON mapping of OTLP 1.x) to rows.

-- An AnyValue as plain JSON.
CREATE FUNCTION nodeai.otlp_value(v jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE SET search_path = '' AS $$
BEGIN
  RETURN CASE
    WHEN v ? 'stringValue' THEN v -> 'stringValue'
    WHEN v ? 'boolValue' THEN v -> 'boolValue'
    WHEN v ? 'intValue' THEN to_jsonb((v ->> 'intValue')::bigint)
    WHEN v ? 'doubleValue' THEN v -> 'doubleValue'
    WHEN v ? 'arrayValue' THEN (
      SELECT coalesce(jsonb_agg(nodeai.otlp_value(e) ORDER BY place), '[]')
      FROM jsonb_array_elements(coalesce(v #> '{arrayValue,values}', '[]')) WITH ORDINALITY AS x(e, place))
    WHEN v ? 'kvlistValue' THEN nodeai.otlp_attributes(v #> '{kvlistValue,values}')
    ELSE v -> 'bytesValue' END;
END
$$;

-- A list of KeyValue as one object; the last of a doubled key wins.
CREATE FUNCTION nodeai.otlp_attributes(list jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE SET search_path = '' AS $$
BEGIN
  RETURN (SELECT coalesce(jsonb_object_agg(e ->> 'key', nodeai.otlp_value(e -> 'value') ORDER BY place), '{}')
          FROM jsonb_array_elements(coalesce(list, '[]')) WITH ORDINALITY AS x(e, place));
END
$$;

-- One OTLP span as the object that nodeai.store_spans takes. Attributes with a column of their own move into it.
CREATE FUNCTION nodeai.otlp_span(s jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE SET search_path = '' AS $$
DECLARE
  a jsonb := nodeai.otlp_attributes(s -> 'attributes');
  start_us bigint := (s ->> 'startTimeUnixNano')::numeric / 1000;
BEGIN
  RETURN jsonb_build_object(
    'trace_id', lower(s ->> 'traceId'), 'span_id', lower(s ->> 'spanId'),
    'parent_span_id', nullif(lower(s ->> 'parentSpanId'), ''), 'name', s ->> 'name',
    'kind', CASE s ->> 'kind' WHEN '2' THEN 'server' WHEN '3' THEN 'client' WHEN '4' THEN 'producer'
                              WHEN '5' THEN 'consumer' ELSE 'internal' END,
    'status', CASE s #>> '{status,code}' WHEN '1' THEN 'ok' WHEN '2' THEN 'error' ELSE 'unset' END,
    'status_message', nullif(s #>> '{status,message}', ''),
    'start_us', start_us, 'end_us', floor((s ->> 'endTimeUnixNano')::numeric / 1000)::bigint,
    'node_id', a ->> 'nodeai.node.id', 'node_type', a ->> 'nodeai.node.type', 'attempt', a -> 'nodeai.node.attempt',
    'provider', coalesce(a ->> 'gen_ai.provider.name', a ->> 'gen_ai.system'),
    'model', coalesce(a ->> 'gen_ai.request.model', a ->> 'gen_ai.response.model'),
    'prompt_tokens', coalesce(a -> 'gen_ai.usage.input_tokens', a -> 'gen_ai.usage.prompt_tokens'),
    'completion_tokens', coalesce(a -> 'gen_ai.usage.output_tokens', a -> 'gen_ai.usage.completion_tokens'),
    'cost_pusd', a -> 'nodeai.cost_pusd',
    'attributes', a - ARRAY['nodeai.node.id', 'nodeai.node.type', 'nodeai.node.attempt', 'gen_ai.provider.name',
      'gen_ai.system', 'gen_ai.request.model', 'gen_ai.usage.input_tokens', 'gen_ai.usage.prompt_tokens',
      'gen_ai.usage.output_tokens', 'gen_ai.usage.completion_tokens', 'nodeai.cost_pusd'],
    'events', (
      SELECT coalesce(jsonb_agg(jsonb_build_object('name', e ->> 'name',
        'at_us', floor((e ->> 'timeUnixNano')::numeric / 1000)::bigint,
        'attributes', nodeai.otlp_attributes(e -> 'attributes')) ORDER BY place), '[]')
      FROM jsonb_array_elements(coalesce(s -> 'events', '[]')) WITH ORDINALITY AS x(e, place)),
    'links', (
      SELECT coalesce(jsonb_agg(jsonb_build_object('trace_id', l ->> 'traceId', 'span_id', l ->> 'spanId',
        'attributes', nodeai.otlp_attributes(l -> 'attributes')) ORDER BY place), '[]')
      FROM jsonb_array_elements(coalesce(s -> 'links', '[]')) WITH ORDINALITY AS x(l, place)));
END
$$;

-- Inserts the spans of one OTLP document (owner only). The organisation is the attribute `nodeai.org_id` of the
-- resource or the span, else the only one that already has the trace; without either a span is skipped, and so is
-- one that is there. Returns {"inserted","skipped"}.
CREATE FUNCTION nodeai.replay_spans(otlp jsonb) RETURNS jsonb
LANGUAGE plpgsql SET search_path = '' AS $$
DECLARE
  batch record;
  stored jsonb;
  inserted bigint := 0;
  skipped bigint := 0;
BEGIN
  FOR batch IN
    SELECT coalesce(
        (nodeai.otlp_attributes(r #> '{resource,attributes}') ->> 'nodeai.org_id')::uuid,
        (x.span #>> '{attributes,nodeai.org_id}')::uuid,
        (SELECT min(d.org_id::text)::uuid FROM public.trace_days d WHERE d.trace_id = x.span ->> 'trace_id'
         HAVING count(DISTINCT d.org_id) = 1)) AS org,
      jsonb_agg(x.span) AS spans
    FROM jsonb_array_elements(otlp -> 'resourceSpans') r
    CROSS JOIN LATERAL jsonb_array_elements(coalesce(r -> 'scopeSpans', '[]')) sc
    CROSS JOIN LATERAL jsonb_array_elements(coalesce(sc -> 'spans', '[]')) s
    CROSS JOIN LATERAL (SELECT nodeai.otlp_span(s) AS span) x
    GROUP BY 1
  LOOP
    IF batch.org IS NULL OR NOT EXISTS (SELECT FROM public.organizations o WHERE o.id = batch.org) THEN
      skipped := skipped + jsonb_array_length(batch.spans);
      CONTINUE;
    END IF;
    stored := nodeai.store_spans(batch.org, '[]', batch.spans);
    inserted := inserted + (stored ->> 'inserted')::bigint;
    skipped := skipped + (stored ->> 'skipped')::bigint;
  END LOOP;
  RETURN jsonb_build_object('inserted', inserted, 'skipped', skipped);
END
$$;
SELECT nodeai.expose('nodeai.otlp_value(jsonb)', '{}');
SELECT nodeai.expose('nodeai.otlp_attributes(jsonb)', '{}');
SELECT nodeai.expose('nodeai.otlp_span(jsonb)', '{}');
SELECT nodeai.expose('nodeai.replay_spans(jsonb)', '{}');
