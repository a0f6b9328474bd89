-- Queries with a retrieval among the traces, objectives for runs (SLOs), links that show one trace.

-- Queries --------------------------------------------------------------------------------------------------------------

-- Whether a span is a stage of retrieval: what a convention names so (OpenTelemetry's GenAI, OpenInference), our own
-- nodes, and what a client calls one by `nodeai.rag.stage`.
CREATE FUNCTION nodeai.is_stage(measure text, node_type text, attributes jsonb) RETURNS boolean LANGUAGE sql IMMUTABLE
  RETURN coalesce(measure = 'retrieval', false)
    OR coalesce(node_type IN ('retriever', 'rerank', 'reranker'), false)
    OR coalesce(attributes ->> 'gen_ai.operation.name' IN ('retrieval', 'rerank'), false)
    OR coalesce(upper(attributes ->> 'openinference.span.kind') IN ('RETRIEVER', 'RERANKER'), false)
    OR coalesce(attributes ->> 'nodeai.rag.stage' IN ('retrieval', 'rerank'), false);
SELECT nodeai.expose('nodeai.is_stage(text, text, jsonb)', '{authenticated,service_role}');

-- The terms of a search, and one more: "stage" holds for a trace with such a span.
ALTER FUNCTION nodeai.search_term(jsonb, date) RENAME TO search_term_of_trace;
CREATE FUNCTION nodeai.search_term(term jsonb, d date) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path = '' AS $$
BEGIN
  IF term ->> 'field' IS DISTINCT FROM 'stage' THEN
    RETURN nodeai.search_term_of_trace(term, d);
  END IF;
  RETURN format('%s EXISTS (SELECT FROM public.spans s WHERE s.day BETWEEN %L AND %L AND s.org_id = t.org_id
      AND s.trace_id = t.trace_id AND nodeai.is_stage(s.measure, s.node_type, s.attributes))',
    CASE WHEN (term ->> 'not')::boolean THEN 'NOT' ELSE '' END, d, d + 1);
END
$$;
SELECT nodeai.expose('nodeai.search_term(jsonb, date)', '{authenticated,service_role}');

-- Objectives -----------------------------------------------------------------------------------------------------------

-- An objective for the runs of a workflow, or of all: which share of those of the last days has to be good. Good is, by
-- `success`, what has not failed; by `latency`, what has ended within `threshold_ms`, failed or not.
CREATE TABLE public.slos (
  id uuid PRIMARY KEY,
  org_id uuid NOT NULL CONSTRAINT slos_org REFERENCES public.organizations (id) ON DELETE CASCADE,
  name text NOT NULL CONSTRAINT slos_name_length CHECK (char_length(name) BETWEEN 1 AND 200),
  workflow_id uuid CONSTRAINT slos_workflow REFERENCES public.workflows (id) ON DELETE CASCADE,
  objective double precision NOT NULL CONSTRAINT slos_objective CHECK (objective BETWEEN 0.5 AND 0.99999),
  window_days integer NOT NULL CONSTRAINT slos_window_days CHECK (window_days BETWEEN 1 AND 90),
  indicator text NOT NULL CONSTRAINT slos_indicator CHECK (indicator IN ('success', 'latency')),
  threshold_ms bigint CONSTRAINT slos_threshold_ms CHECK (threshold_ms BETWEEN 1 AND 86400000),
  version integer NOT NULL DEFAULT 1,
  created_by uuid,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT slos_threshold_of_latency CHECK ((indicator = 'latency') = (threshold_ms IS NOT NULL))
);
CREATE INDEX slos_org_idx ON public.slos (org_id, id DESC);
CREATE INDEX slos_workflow_idx ON public.slos (workflow_id);
SELECT nodeai.tenant_table('public.slos');
SELECT nodeai.belongs_to('public.slos', 'workflows', 'workflow_id');
SELECT nodeai.allow_write('slos', '{name,workflow_id,objective,window_days,indicator,threshold_ms}',
  '{name,objective,window_days,threshold_ms}');

-- Runs and good runs of an objective: {"org_id","id"} → {"at_us","since_us","objective","window_days","total","good",
-- "recent": {"1h": {"total","good"}, "6h", "3d"}}, or null when there is none. The window is of whole hours, with the one
-- that runs, from the sums by the hour; a threshold counts there as the upper end of its bucket, 2 % above it at most.
-- The recent times end now and are counted span by span: an hour is too short for sums by the hour.
CREATE FUNCTION public.slo_status(p jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  org uuid := coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  at timestamptz := clock_timestamp();
  until bigint := nodeai.to_us(date_trunc('hour', at, 'UTC')) + 3600000000;
  o public.slos;
  since bigint;
  bucket integer;
  all_runs bigint;
  good_runs bigint;
  recent jsonb;
BEGIN
  SELECT * INTO o FROM public.slos x WHERE x.id = (p ->> 'id')::uuid AND x.org_id = org;
  IF o.id IS NULL THEN
    RETURN NULL;
  END IF;
  since := until - o.window_days * 86400000000;
  bucket := nodeai.hist_bucket(o.threshold_ms * 1000);
  SELECT coalesce(sum(c.calls), 0), coalesce(sum(
      CASE WHEN o.indicator = 'success' THEN c.calls - c.errors
           ELSE (SELECT coalesce(sum(h.n), 0) FROM unnest(c.hist_idx, c.hist_n) AS h(i, n) WHERE h.i <= bucket) END), 0)
    INTO all_runs, good_runs
    FROM nodeai.usage_cells(org, since, until) c
    WHERE c.node_type IS NULL AND (o.workflow_id IS NULL OR c.workflow_id = o.workflow_id);
  SELECT jsonb_object_agg(w.name, jsonb_build_object('total', w.total, 'good', w.good)) INTO recent FROM (
    SELECT r.name, count(s.trace_id) AS total, count(*) FILTER (
        WHERE CASE WHEN o.indicator = 'success' THEN s.status <> 'error' ELSE s.duration_us <= o.threshold_ms * 1000 END) AS good
    FROM (VALUES ('1h', at - interval '1 hour'), ('6h', at - interval '6 hours'), ('3d', at - interval '3 days')) AS r(name, since)
    LEFT JOIN public.spans s ON s.started_at >= r.since AND s.org_id = org AND s.measure = 'run'
      AND (o.workflow_id IS NULL OR s.workflow_id = o.workflow_id) AND s.started_at <= at
      AND s.day >= ((at - interval '3 days') AT TIME ZONE 'UTC')::date AND s.day <= (at AT TIME ZONE 'UTC')::date
    GROUP BY r.name) w;
  RETURN jsonb_build_object('at_us', nodeai.to_us(at), 'since_us', since, 'objective', o.objective,
    'window_days', o.window_days, 'total', all_runs, 'good', good_runs, 'recent', recent);
END
$$;
SELECT nodeai.expose('public.slo_status(jsonb)', '{authenticated,service_role}');
SELECT nodeai.allow_call('slo_status');

-- Links to traces ------------------------------------------------------------------------------------------------------

-- Whoever has the token sees one trace; with `payloads` also what went in and came out. A trace has no row that a foreign
-- key could name (it has one for each of its days); a link to one that is gone shows nothing.
CREATE TABLE public.trace_shares (
  id uuid PRIMARY KEY,
  org_id uuid NOT NULL CONSTRAINT trace_shares_org REFERENCES public.organizations (id) ON DELETE CASCADE,
  trace_id text NOT NULL CONSTRAINT trace_shares_trace_id CHECK (trace_id ~ '^[0-9a-f]{32}$'),
  token_hash text NOT NULL CONSTRAINT trace_shares_token_unique UNIQUE,
  payloads boolean NOT NULL DEFAULT false,
  expires_at timestamptz,
  version integer NOT NULL DEFAULT 1,
  created_by uuid,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX trace_shares_org_idx ON public.trace_shares (org_id, trace_id, id DESC);
SELECT nodeai.tenant_table('public.trace_shares');
SELECT nodeai.allow_write('trace_shares', '{trace_id,token_hash,payloads,expires_at}', '{}');

-- Makes or ends a link to an own trace: "args" are those of public.write without table, and "trace_id".
CREATE FUNCTION nodeai.do_share_trace(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  args jsonb := p -> 'args';
  found boolean;
BEGIN
  IF args ->> 'op' = 'insert' THEN
    found := EXISTS (SELECT FROM public.trace_days d WHERE d.org_id = org AND d.trace_id = args ->> 'trace_id');
  ELSE
    found := EXISTS (SELECT FROM public.trace_shares s
      WHERE s.id = (args ->> 'id')::uuid AND s.org_id = org AND s.trace_id = args ->> 'trace_id');
  END IF;
  IF NOT found THEN
    RAISE EXCEPTION 'missing' USING ERRCODE = 'NA404';
  END IF;
  RETURN nodeai.do_write(org, args || '{"table":"trace_shares"}');
END
$$;
SELECT nodeai.expose('nodeai.do_share_trace(uuid, jsonb)', '{authenticated,service_role}');

-- The links of an own trace, newest first: {"trace_id","org_id","before","limit"} → a list, or null when there is no such
-- trace.
CREATE FUNCTION public.trace_shares_of(p jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  org uuid := coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  before uuid := (p ->> 'before')::uuid;
BEGIN
  IF NOT EXISTS (SELECT FROM public.trace_days d WHERE d.org_id = org AND d.trace_id = p ->> 'trace_id') THEN
    RETURN NULL;
  END IF;
  RETURN (
    SELECT coalesce(jsonb_agg(to_jsonb(page) ORDER BY page.id DESC), '[]')
    FROM (SELECT s.id, s.trace_id, s.payloads, s.expires_at, s.version, s.created_by, s.created_at
          FROM public.trace_shares s
          WHERE s.org_id = org AND s.trace_id = p ->> 'trace_id' AND (before IS NULL OR s.id < before)
          ORDER BY s.id DESC LIMIT (p ->> 'limit')::integer) page);
END
$$;
SELECT nodeai.expose('public.trace_shares_of(jsonb)', '{authenticated,service_role}');
SELECT nodeai.allow_call('trace_shares_of');

-- A trace for strangers. Never who caused it, nor the ids of the organisation's own things. Without `payloads` only names,
-- times, tokens, costs, and attributes that cannot hold a text of anybody's.
CREATE FUNCTION nodeai.trace_for_visitors(tree jsonb, payloads boolean) RETURNS jsonb
LANGUAGE sql IMMUTABLE SET search_path = '' AS $$
  SELECT jsonb_build_object(
    'trace', (tree -> 'trace') - '{user_id,end_user,session_id,tags,execution_id,workflow_id}'::text[]
      || CASE WHEN payloads THEN '{}'::jsonb ELSE jsonb_build_object('attributes', '{}'::jsonb,
           'error', CASE WHEN jsonb_typeof(tree #> '{trace,error}') = 'object'
             THEN jsonb_build_object('kind', tree #> '{trace,error,kind}') END) END,
    'spans', (
      SELECT coalesce(jsonb_agg(x.span - '{end_user,session_id,tags}'::text[] || jsonb_build_object('attributes', (
          SELECT coalesce(jsonb_object_agg(a.k, a.v), '{}') FROM jsonb_each(x.span -> 'attributes') AS a(k, v)
          WHERE CASE WHEN payloads THEN a.k <> ALL (ARRAY['user.id', 'enduser.id', 'gen_ai.user.id', 'llm.user',
              'nodeai.user_id', 'nodeai.org_id', 'nodeai.workflow_id', 'nodeai.execution_id', 'nodeai.execution.id',
              'session.id', 'gen_ai.conversation.id', 'otel.resource', 'otel.scope'])
            ELSE a.k = ANY (ARRAY['gen_ai.operation.name', 'gen_ai.provider.name', 'gen_ai.system', 'gen_ai.request.model',
              'gen_ai.response.model', 'gen_ai.response.finish_reasons', 'gen_ai.usage.input_tokens',
              'gen_ai.usage.output_tokens', 'gen_ai.response.time_to_first_chunk', 'http.request.method',
              'http.response.status_code', 'error.type', 'openinference.span.kind', 'traceloop.span.kind',
              'nodeai.node.path', 'nodeai.handle', 'nodeai.status', 'nodeai.iterations']) END))
        || CASE WHEN payloads THEN '{}'::jsonb ELSE jsonb_build_object('status_message', NULL, 'links', '[]'::jsonb, 'events', (
          SELECT coalesce(jsonb_agg(jsonb_build_object('name', e -> 'name', 'at_us', e -> 'at_us') ORDER BY o), '[]')
          FROM jsonb_array_elements(CASE WHEN jsonb_typeof(x.span -> 'events') = 'array' THEN x.span -> 'events' ELSE '[]' END)
            WITH ORDINALITY AS v(e, o))) END
        ORDER BY x.place), '[]')
      FROM jsonb_array_elements(tree -> 'spans') WITH ORDINALITY AS x(span, place)))
$$;
SELECT nodeai.expose('nodeai.trace_for_visitors(jsonb, boolean)', '{}');

-- What a link shows to whoever has it: {"token_hash","ip"} → {"rate", "trace" (null: no such link)}. The bucket is that of
-- all links, by address.
CREATE FUNCTION nodeai.open_trace(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  rate jsonb := nodeai.bucket_take(md5('link ' || coalesce(p ->> 'ip', ''))::uuid, 'links', 300, 100,
    nodeai.to_us(clock_timestamp()), 1, true);
  link public.trace_shares;
  shown jsonb;
BEGIN
  IF (rate ->> 'admitted')::boolean THEN
    SELECT * INTO link FROM public.trace_shares s
      WHERE s.token_hash = p ->> 'token_hash' AND (s.expires_at IS NULL OR s.expires_at > now());
    IF link.id IS NOT NULL THEN
      -- The link's own organisation and trace, never what the visitor says.
      shown := public.trace_tree(jsonb_build_object('org_id', link.org_id, 'trace_id', link.trace_id));
      shown := CASE WHEN shown IS NULL THEN NULL
        ELSE nodeai.trace_for_visitors(shown, link.payloads) || jsonb_build_object('payloads', link.payloads) END;
    END IF;
  END IF;
  RETURN jsonb_build_object('trace', shown, 'rate', rate || jsonb_build_object('policies', jsonb_build_array(
    jsonb_build_object('policy', rate -> 'policy', 'limit', rate -> 'limit', 'window_s', rate -> 'window_s'))));
END
$$;
SELECT nodeai.expose('nodeai.open_trace(jsonb)', '{anon,authenticated,service_role}');

CREATE FUNCTION public.trace_open(p jsonb) RETURNS jsonb
LANGUAGE sql VOLATILE SET search_path = '' AS $$ SELECT nodeai.open_trace(p) $$;
SELECT nodeai.expose('public.trace_open(jsonb)', '{anon,authenticated,service_role}');
