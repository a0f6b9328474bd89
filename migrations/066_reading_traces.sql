-- Reading traces. A search looks at few of the newest first, and at more with each step back: what many have is found at once, however many
-- spans a day has, and what few have is found by reading much at a time.

-- As in 028, with text in all its forms (065).
CREATE OR REPLACE FUNCTION nodeai.search_term_of_trace(term jsonb, d date) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path = '' AS $$
DECLARE
  field text := term ->> 'field';
  op text := coalesce(term ->> 'op', '=');
  given text[] := ARRAY(SELECT jsonb_array_elements_text(term -> 'values'));
  sought text := term #>> '{values,0}';
  patterns text[];
  -- As a list: with a range of days an index that begins with the day is read from end to end.
  of_span constant text := format('s.day IN (%L, %L) AND s.org_id = t.org_id AND s.trace_id = t.trace_id', d, d + 1);
  condition text;
BEGIN
  IF NOT op = ANY (ARRAY['=', '<', '<=', '>', '>=']) THEN
    RAISE EXCEPTION 'not an operator: %', op USING ERRCODE = 'invalid_parameter_value';
  END IF;
  IF field = 'text' THEN
    patterns := nodeai.text_patterns(sought);
  END IF;
  condition := CASE field
    WHEN 'status' THEN format('t.status = ANY (%L::text[])', given)
    WHEN 'kind' THEN format('t.kind = ANY (%L::text[])', given)
    WHEN 'name' THEN format('t.name = ANY (%L::text[])', given)
    WHEN 'session' THEN format('t.session_id = ANY (%L::text[])', given)
    WHEN 'tag' THEN format('t.tags && %L::text[]', given)
    WHEN 'workflow' THEN format('t.workflow_id = ANY (%L::uuid[])', given)
    WHEN 'execution' THEN format('t.execution_id = ANY (%L::uuid[])', given)
    WHEN 'trace' THEN format('t.trace_id = ANY (%L::text[])', given)
    WHEN 'user' THEN format('(t.user_id::text = ANY (%1$L::text[]) OR t.end_user = ANY (%1$L::text[]))', given)
    WHEN 'duration' THEN format('t.duration_us %s %L::bigint', op, sought)
    WHEN 'cost' THEN format('t.cost_pusd %s %L::bigint', op, sought)
    WHEN 'tokens' THEN format('t.prompt_tokens + t.completion_tokens %s %L::bigint', op, sought)
    WHEN 'spans' THEN format('t.span_count %s %L::bigint', op, sought)
    WHEN 'model' THEN format('EXISTS (SELECT FROM public.spans s WHERE %s AND s.model = ANY (%L::text[]))', of_span, given)
    WHEN 'provider' THEN format('EXISTS (SELECT FROM public.spans s WHERE %s AND s.provider = ANY (%L::text[]))', of_span, given)
    WHEN 'node' THEN format('EXISTS (SELECT FROM public.spans s WHERE %s AND s.node_id = ANY (%L::text[]))', of_span, given)
    WHEN 'type' THEN format('EXISTS (SELECT FROM public.spans s WHERE %s AND s.node_type = ANY (%L::text[]))', of_span, given)
    WHEN 'attr' THEN format('EXISTS (SELECT FROM public.spans s WHERE %s AND (s.attributes ->> %L = ANY (%L::text[])
        OR s.attributes #>> ARRAY[''otel.resource'', %L] = ANY (%L::text[])))',
      of_span, term ->> 'key', given, term ->> 'key', given)
    -- As scalars: an EXISTS beside an OR may be answered by reading all spans of the day first.
    WHEN 'text' THEN format('(t.name ILIKE ANY (%1$L::text[]) OR coalesce((SELECT true FROM public.spans s WHERE %2$s
        AND (s.name ILIKE ANY (%1$L::text[]) OR s.status_message ILIKE ANY (%1$L::text[])
          OR s.attributes::text ILIKE ANY (%1$L::text[]) OR s.events::text ILIKE ANY (%1$L::text[])) LIMIT 1), false)
      OR coalesce((SELECT true FROM public.span_payloads s WHERE %2$s
        AND (s.attributes::text ILIKE ANY (%1$L::text[]) OR s.events::text ILIKE ANY (%1$L::text[])) LIMIT 1), false))',
      patterns, of_span) END;
  IF condition IS NULL THEN
    RAISE EXCEPTION 'not a field: %', field USING ERRCODE = 'invalid_parameter_value';
  END IF;
  RETURN CASE WHEN (term ->> 'not')::boolean THEN format('(%s) IS NOT TRUE', condition) ELSE condition END;
END
$$;

CREATE OR REPLACE FUNCTION nodeai.search_term(term jsonb, d date) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path = '' AS $$
BEGIN
  IF term ->> 'field' IS DISTINCT FROM 'stage' THEN
    RETURN nodeai.search_term_of_trace(term, d);
  END IF;
  RETURN format('%s EXISTS (SELECT FROM public.spans s WHERE s.day IN (%L, %L) AND s.org_id = t.org_id
      AND s.trace_id = t.trace_id AND nodeai.is_stage(s.measure, s.node_type, s.attributes))',
    CASE WHEN (term ->> 'not')::boolean THEN 'NOT' ELSE '' END, d, d + 1);
END
$$;

-- Whether a term of a search is about a trace's spans, and not about its own row.
CREATE FUNCTION nodeai.is_term_of_spans(term jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = '' AS $$
  SELECT (term ->> 'field' = ANY (ARRAY['status', 'kind', 'name', 'session', 'tag', 'workflow', 'execution', 'trace', 'user',
    'duration', 'cost', 'tokens', 'spans'])) IS NOT TRUE
$$;
SELECT nodeai.expose('nodeai.is_term_of_spans(jsonb)', '{authenticated,service_role}');

-- As in 028: {"org_id","terms":[…],"from_us"?,"to_us"?,"after"?:{"at_us","trace_id"},"limit"} → {"traces":[…],"next":{"at_us",
-- "trace_id"} or null}. It goes back day by day, within a day by batches, each four times as long as the one before, and stops with what
-- it has after two seconds: a page may be short, even empty, and go on.
CREATE OR REPLACE FUNCTION public.traces_search(p jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY INVOKER SET search_path = '' SET jit = off AS $$
DECLARE
  org uuid := coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  most integer := least(greatest(coalesce((p ->> 'limit')::integer, 50), 1), 1000);
  after_us bigint := (p #>> '{after,at_us}')::bigint;
  after_id text := coalesce(p #>> '{after,trace_id}', '');
  upper_us bigint := least(coalesce((p ->> 'to_us')::bigint, 4102444800000000), coalesce(after_us + 1, 4102444800000000));
  lower_us bigint := coalesce((p ->> 'from_us')::bigint, 0);
  terms jsonb := coalesce(nullif(p -> 'terms', 'null'), '[]');
  until timestamptz := clock_timestamp() + interval '2 seconds';
  step integer := 2 * (most + 1);
  d date;
  found jsonb := '[]';
  page jsonb;
  seen bigint;
  of_traces text;
  of_spans text;
  next jsonb;
BEGIN
  FOR d IN
    -- Days on which there is anything; the tables say so themselves.
    SELECT x.day FROM (
      SELECT to_date(right(c.relname, 8), 'YYYYMMDD') AS day
      FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
      WHERE i.inhparent = 'public.traces'::regclass AND c.relname ~ '_[0-9]{8}$'
      UNION SELECT nodeai.stray_days(org)) x
    WHERE x.day >= nodeai.day_of(lower_us) AND x.day <= nodeai.day_of(upper_us - 1) ORDER BY x.day DESC
  LOOP
    SELECT coalesce(string_agg(' AND ' || nodeai.search_term(e, d), '') FILTER (WHERE NOT nodeai.is_term_of_spans(e)), ''),
        string_agg(nodeai.search_term(e, d), ' AND ') FILTER (WHERE nodeai.is_term_of_spans(e))
      INTO of_traces, of_spans FROM jsonb_array_elements(terms) e;
    LOOP
      -- Without terms about spans a batch is what is wanted.
      EXECUTE format('WITH batch AS MATERIALIZED (
          SELECT t AS whole, t.org_id, t.trace_id, t.name, t.started_at FROM public.traces t
          WHERE t.org_id = %L AND t.day = %L AND t.started_at >= %L AND t.started_at < %L %s %s
          ORDER BY t.started_at DESC, t.trace_id DESC LIMIT %s
        ), hits AS (
          SELECT t.whole, t.started_at, t.trace_id FROM batch t WHERE %s ORDER BY t.started_at DESC, t.trace_id DESC LIMIT %s
        )
        SELECT (SELECT jsonb_agg(nodeai.trace_json(h.whole) ORDER BY h.started_at DESC, h.trace_id DESC) FROM hits h),
          (SELECT count(*) FROM batch), l.at_us, l.trace_id
        FROM (SELECT) one LEFT JOIN (SELECT nodeai.to_us(b.started_at) AS at_us, b.trace_id FROM batch b
          ORDER BY b.started_at, b.trace_id LIMIT 1) l ON true',
        org, d, nodeai.from_us(lower_us), nodeai.from_us(upper_us),
        CASE WHEN after_us IS NULL THEN '' ELSE format('AND (t.started_at, t.trace_id) < (%L, %L)', nodeai.from_us(after_us), after_id) END,
        of_traces, CASE WHEN of_spans IS NULL THEN most + 1 - jsonb_array_length(found) ELSE step END,
        -- Of few traces each is looked at by itself: a join would read all spans of the day that fit.
        CASE WHEN of_spans IS NULL THEN 'true' WHEN step > 2000 THEN of_spans ELSE format('CASE WHEN %s THEN true END', of_spans) END,
        most + 1 - jsonb_array_length(found)) INTO page, seen, after_us, after_id;
      found := found || coalesce(page, '[]');
      IF jsonb_array_length(found) > most THEN
        next := jsonb_build_object('at_us', found -> (most - 1) -> 'start_us', 'trace_id', found -> (most - 1) -> 'trace_id');
        RETURN jsonb_build_object('traces', found - most, 'next', next);
      END IF;
      -- The day is over.
      EXIT WHEN of_spans IS NULL OR seen < step;
      IF clock_timestamp() > until THEN
        RETURN jsonb_build_object('traces', found, 'next', jsonb_build_object('at_us', after_us, 'trace_id', after_id));
      END IF;
      step := least(4 * step, 100000);
    END LOOP;
    -- Days before have their own times.
    after_us := NULL;
    IF clock_timestamp() > until THEN
      next := jsonb_build_object('at_us', (d - date '1970-01-01')::bigint * 86400000000, 'trace_id', '');
      EXIT;
    END IF;
  END LOOP;
  RETURN jsonb_build_object('traces', found, 'next', next);
END
$$;

-- As in 052, with days as a list.
CREATE OR REPLACE FUNCTION public.knowledge_answers(p jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  org uuid := coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  document text := p ->> 'document_id';
  since timestamptz := coalesce(nodeai.from_us((p ->> 'from_us')::bigint), now() - interval '30 days');
  until timestamptz := coalesce(nodeai.from_us((p #>> '{before,at_us}')::bigint), 'infinity');
BEGIN
  IF NOT EXISTS (SELECT FROM public.documents d WHERE d.id = document::uuid AND d.org_id = org
      AND d.knowledge_base_id = (p ->> 'id')::uuid) THEN
    RETURN NULL;
  END IF;
  RETURN (
    WITH searches AS MATERIALIZED (
      SELECT s.span_id, s.trace_id, s.day, s.started_at, s.attributes -> 'gen_ai.retrieval.documents' AS given FROM public.spans s
      WHERE s.org_id = org AND s.name = 'search' AND s.attributes ? 'gen_ai.data_source.id'
        AND s.attributes ->> 'gen_ai.data_source.id' = p ->> 'id'
        AND s.day >= (since AT TIME ZONE 'UTC')::date AND s.started_at >= since
        AND (s.started_at, s.span_id) < (until, coalesce(p #>> '{before,id}', ''))
        AND s.attributes -> 'gen_ai.retrieval.documents' @> jsonb_build_array(
          jsonb_build_object('metadata', jsonb_build_object('document_id', document)))
      ORDER BY s.started_at DESC, s.span_id DESC LIMIT (p ->> 'limit')::integer
    )
    SELECT jsonb_build_object('answers', coalesce(jsonb_agg(jsonb_build_object('span_id', s.span_id, 'trace_id', s.trace_id,
        'at_us', nodeai.to_us(s.started_at), 'at', s.started_at, 'execution_id', t.execution_id, 'workflow_id', t.workflow_id,
        'name', t.name, 'status', t.status,
        'chunks', (SELECT jsonb_agg(jsonb_build_object('id', g.hit ->> 'id', 'rank', g.rank, 'score', g.hit -> 'score',
            'current', EXISTS (SELECT FROM public.chunks c WHERE c.id = (g.hit ->> 'id')::uuid)) ORDER BY g.rank)
          FROM jsonb_array_elements(s.given) WITH ORDINALITY AS g (hit, rank)
          WHERE g.hit #>> '{metadata,document_id}' = document)) ORDER BY s.started_at DESC, s.span_id DESC), '[]'))
    FROM searches s LEFT JOIN LATERAL (
      SELECT x.execution_id, x.workflow_id, x.name, x.status FROM public.traces x
      WHERE x.org_id = org AND x.trace_id = s.trace_id AND x.day IN (s.day - 1, s.day, s.day + 1)
      ORDER BY x.execution_id IS NULL, x.started_at LIMIT 1) t ON true);
END
$$;

-- As in 039, put together as text: ten thousand spans in two thirds of the time. Columns with a list of values are written as they are.
CREATE OR REPLACE FUNCTION nodeai.span_text(s public.spans, attributes jsonb, events jsonb) RETURNS text LANGUAGE sql STABLE
  RETURN concat('{"trace_id":"', s.trace_id, '","span_id":"', s.span_id, '","parent_span_id":', coalesce('"' || s.parent_span_id || '"', 'null'),
    ',"name":', to_json(s.name), ',"kind":"', s.kind, '","node_id":', coalesce(to_json(s.node_id)::text, 'null'),
    ',"node_type":', coalesce(to_json(s.node_type)::text, 'null'), ',"attempt":', coalesce(s.attempt::text, 'null'),
    ',"status":"', s.status, '","status_message":', coalesce(to_json(s.status_message)::text, 'null'),
    ',"start_us":', nodeai.to_us(s.started_at), ',"end_us":', nodeai.to_us(s.started_at) + s.duration_us,
    ',"duration_us":', s.duration_us, ',"provider":', coalesce(to_json(s.provider)::text, 'null'),
    ',"model":', coalesce(to_json(s.model)::text, 'null'), ',"prompt_tokens":', coalesce(s.prompt_tokens::text, 'null'),
    ',"completion_tokens":', coalesce(s.completion_tokens::text, 'null'), ',"cost_pusd":', coalesce(s.cost_pusd::text, 'null'),
    ',"attributes":', coalesce(attributes::text, 'null'), ',"events":', coalesce(events::text, 'null'),
    ',"links":', coalesce(s.links::text, 'null'), ',"measure":"' || s.measure || '"', ',"priced":' || s.priced::text,
    ',"price_version":' || to_json(s.price_version)::text, ',"session_id":' || to_json(s.session_id)::text,
    ',"end_user":' || to_json(s.end_user)::text, ',"tags":' || to_json(s.tags)::text, ',"service_tier":' || to_json(s.service_tier)::text,
    CASE WHEN num_nonnulls(s.cache_read_tokens, s.cache_write_tokens, s.cache_write_1h_tokens, s.reasoning_tokens,
      s.audio_input_tokens, s.audio_output_tokens, s.image_input_tokens) > 0
    THEN concat(',"cache_read_tokens":' || s.cache_read_tokens, ',"cache_write_tokens":' || s.cache_write_tokens,
      ',"cache_write_1h_tokens":' || s.cache_write_1h_tokens, ',"reasoning_tokens":' || s.reasoning_tokens,
      ',"audio_input_tokens":' || s.audio_input_tokens, ',"audio_output_tokens":' || s.audio_output_tokens,
      ',"image_input_tokens":' || s.image_input_tokens) END, '}');
