-- Telemetry: token buckets on spans, big attributes in a table of their own, sums by the hour that are written with the
-- spans, spend by the day.

-- Spans --------------------------------------------------------------------------------------------------------------

-- `prompt_tokens` and `completion_tokens` hold all of their buckets. `measure` says as what a span is counted, once, in
-- the sums by the hour; a span without it is not. `priced` is false where no price was known.
ALTER TABLE public.spans
  ADD COLUMN cache_read_tokens bigint,
  ADD COLUMN cache_write_tokens bigint,
  ADD COLUMN cache_write_1h_tokens bigint,
  ADD COLUMN reasoning_tokens bigint,
  ADD COLUMN audio_input_tokens bigint,
  ADD COLUMN audio_output_tokens bigint,
  ADD COLUMN image_input_tokens bigint,
  ADD COLUMN service_tier text,
  ADD COLUMN price_version text,
  ADD COLUMN session_id text,
  ADD COLUMN tags text[],
  ADD COLUMN priced boolean,
  ADD COLUMN workflow_id uuid,
  ADD COLUMN user_id uuid,
  ADD COLUMN end_user text,
  ADD COLUMN measure text CONSTRAINT spans_measure CHECK (measure IN ('run', 'model', 'retrieval', 'tool', 'node'));
ALTER TABLE public.traces
  ADD COLUMN session_id text,
  ADD COLUMN tags text[],
  ADD COLUMN end_user text,
  ADD COLUMN rooted boolean NOT NULL DEFAULT true;
CREATE INDEX traces_session_idx ON public.traces (org_id, session_id, started_at DESC) WHERE session_id IS NOT NULL;
CREATE INDEX traces_end_user_idx ON public.traces (org_id, end_user, started_at DESC) WHERE end_user IS NOT NULL;

-- What is too big for the hot table: attributes of more than 256 bytes of spans that have more than a kilobyte of them,
-- and events of more than that. Prompts and answers, mostly.
CREATE TABLE public.span_payloads (
  org_id uuid NOT NULL,
  trace_id text NOT NULL,
  span_id text NOT NULL,
  day date NOT NULL,
  attributes jsonb NOT NULL DEFAULT '{}',
  events jsonb,
  PRIMARY KEY (day, org_id, trace_id, span_id)
) PARTITION BY RANGE (day);
SELECT nodeai.tenant_table('public.span_payloads', 'viewer', 'viewer', 'SELECT, INSERT');

-- Sums by the hour -----------------------------------------------------------------------------------------------------

-- Nobody wrote or read the first draft of them.
DROP TABLE public.usage_rollups;

-- A cell is an hour of one workflow, node, model and user. The empty text and the zero id stand for none, so that a
-- primary key can hold them; a run has neither node nor `node_type`. `hist_idx` and `hist_n` are a histogram of
-- durations: bucket i holds durations in (g^(i-1), g^i] µs with g = 1.01 / 0.99, so a quantile is off by 1 % at most
-- (DDSketch, Masson, Rim, Lee, VLDB 2019) and histograms add up.
CREATE TABLE public.usage_hours (
  org_id uuid NOT NULL,
  hour timestamptz NOT NULL,
  workflow_id uuid NOT NULL,
  node_id text NOT NULL,
  node_type text NOT NULL,
  provider text NOT NULL,
  model text NOT NULL,
  user_id uuid NOT NULL,
  calls bigint NOT NULL,
  errors bigint NOT NULL,
  prompt_tokens bigint NOT NULL,
  completion_tokens bigint NOT NULL,
  cache_read_tokens bigint NOT NULL,
  cache_write_tokens bigint NOT NULL,
  cache_write_1h_tokens bigint NOT NULL,
  reasoning_tokens bigint NOT NULL,
  audio_input_tokens bigint NOT NULL,
  audio_output_tokens bigint NOT NULL,
  image_input_tokens bigint NOT NULL,
  cost_pusd numeric NOT NULL,
  unpriced_calls bigint NOT NULL,
  hist_idx integer[] NOT NULL,
  hist_n bigint[] NOT NULL,
  PRIMARY KEY (org_id, hour, workflow_id, node_id, node_type, provider, model, user_id)
);
CREATE INDEX usage_hours_hour_idx ON public.usage_hours (hour);
SELECT nodeai.tenant_table('public.usage_hours', 'viewer', 'viewer', 'SELECT');

-- What has come since the last folding: appended by whoever stores spans, in the same transaction, so that no two of
-- them ever wait for one row.
CREATE TABLE public.usage_deltas (LIKE public.usage_hours, id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY);
CREATE INDEX usage_deltas_hour_idx ON public.usage_deltas (org_id, hour);
SELECT nodeai.tenant_table('public.usage_deltas', 'viewer', 'viewer', 'SELECT, INSERT');

-- The bucket of a duration.
CREATE FUNCTION nodeai.hist_bucket(us bigint) RETURNS integer LANGUAGE sql IMMUTABLE
  RETURN ceil(ln(greatest(us, 1)::double precision) / ln(1.01::double precision / 0.99::double precision))::integer;
SELECT nodeai.expose('nodeai.hist_bucket(bigint)', '{authenticated,service_role}');

-- The sum of two histograms.
CREATE FUNCTION nodeai.hist_add(idx_a integer[], n_a bigint[], idx_b integer[], n_b bigint[], OUT idx integer[], OUT n bigint[])
LANGUAGE sql IMMUTABLE SET search_path = '' AS $$
  SELECT array_agg(x.i ORDER BY x.i), array_agg(x.c ORDER BY x.i) FROM (
    SELECT b.i, sum(b.c)::bigint AS c FROM (
      SELECT * FROM unnest(idx_a, n_a) AS a(i, c) UNION ALL SELECT * FROM unnest(idx_b, n_b) AS a(i, c)) b
    GROUP BY b.i) x
$$;
SELECT nodeai.expose('nodeai.hist_add(integer[], bigint[], integer[], bigint[])', '{}');

-- The cells of a time, [from_us, to_us), whole hours. A cell may come in several rows (what is not folded yet): whoever
-- reads, adds up.
CREATE FUNCTION nodeai.usage_cells(org uuid, from_us bigint, to_us bigint) RETURNS TABLE (
  hour timestamptz, workflow_id uuid, node_id text, node_type text, provider text, model text, user_id uuid,
  calls bigint, errors bigint, prompt_tokens bigint, completion_tokens bigint, cache_read_tokens bigint,
  cache_write_tokens bigint, cache_write_1h_tokens bigint, reasoning_tokens bigint, audio_input_tokens bigint,
  audio_output_tokens bigint, image_input_tokens bigint, cost_pusd numeric, unpriced_calls bigint,
  hist_idx integer[], hist_n bigint[])
LANGUAGE sql STABLE SECURITY INVOKER BEGIN ATOMIC
  SELECT u.hour, nullif(u.workflow_id, '00000000-0000-0000-0000-000000000000'), nullif(u.node_id, ''),
    nullif(u.node_type, ''), nullif(u.provider, ''), nullif(u.model, ''),
    nullif(u.user_id, '00000000-0000-0000-0000-000000000000'), u.calls, u.errors, u.prompt_tokens, u.completion_tokens,
    u.cache_read_tokens, u.cache_write_tokens, u.cache_write_1h_tokens, u.reasoning_tokens, u.audio_input_tokens,
    u.audio_output_tokens, u.image_input_tokens, u.cost_pusd, u.unpriced_calls, u.hist_idx, u.hist_n
  FROM public.usage_hours u
  WHERE u.org_id = org AND u.hour >= nodeai.from_us(from_us) AND u.hour < nodeai.from_us(to_us)
  UNION ALL
  SELECT u.hour, nullif(u.workflow_id, '00000000-0000-0000-0000-000000000000'), nullif(u.node_id, ''),
    nullif(u.node_type, ''), nullif(u.provider, ''), nullif(u.model, ''),
    nullif(u.user_id, '00000000-0000-0000-0000-000000000000'), u.calls, u.errors, u.prompt_tokens, u.completion_tokens,
    u.cache_read_tokens, u.cache_write_tokens, u.cache_write_1h_tokens, u.reasoning_tokens, u.audio_input_tokens,
    u.audio_output_tokens, u.image_input_tokens, u.cost_pusd, u.unpriced_calls, u.hist_idx, u.hist_n
  FROM public.usage_deltas u
  WHERE u.org_id = org AND u.hour >= nodeai.from_us(from_us) AND u.hour < nodeai.from_us(to_us);
END;
SELECT nodeai.expose('nodeai.usage_cells(uuid, bigint, bigint)', '{authenticated,service_role}');

-- Folds the oldest `most` deltas into their cells; returns how many. A reader sees each of them in one place only.
CREATE FUNCTION nodeai.fold_usage(most integer DEFAULT 100000) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  n bigint;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('nodeai.fold_usage', 0));
  WITH gone AS (
    DELETE FROM public.usage_deltas d WHERE d.id IN (SELECT x.id FROM public.usage_deltas x ORDER BY x.id LIMIT most)
    RETURNING d.*
  ), hist AS (
    SELECT x.org_id, x.hour, x.workflow_id, x.node_id, x.node_type, x.provider, x.model, x.user_id,
      array_agg(x.i ORDER BY x.i) AS hist_idx, array_agg(x.c ORDER BY x.i) AS hist_n
    FROM (SELECT g.org_id, g.hour, g.workflow_id, g.node_id, g.node_type, g.provider, g.model, g.user_id, h.i,
            sum(h.c)::bigint AS c
          FROM gone g CROSS JOIN LATERAL unnest(g.hist_idx, g.hist_n) AS h(i, c) GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9) x
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
  ), summed AS (
    SELECT g.org_id, g.hour, g.workflow_id, g.node_id, g.node_type, g.provider, g.model, g.user_id,
      sum(g.calls)::bigint AS calls, sum(g.errors)::bigint AS errors, sum(g.prompt_tokens)::bigint AS prompt_tokens,
      sum(g.completion_tokens)::bigint AS completion_tokens, sum(g.cache_read_tokens)::bigint AS cache_read_tokens,
      sum(g.cache_write_tokens)::bigint AS cache_write_tokens,
      sum(g.cache_write_1h_tokens)::bigint AS cache_write_1h_tokens, sum(g.reasoning_tokens)::bigint AS reasoning_tokens,
      sum(g.audio_input_tokens)::bigint AS audio_input_tokens, sum(g.audio_output_tokens)::bigint AS audio_output_tokens,
      sum(g.image_input_tokens)::bigint AS image_input_tokens, sum(g.cost_pusd) AS cost_pusd,
      sum(g.unpriced_calls)::bigint AS unpriced_calls, count(*) AS deltas
    FROM gone g GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
  ), folded AS (
    INSERT INTO public.usage_hours AS u (
      org_id, hour, workflow_id, node_id, node_type, provider, model, user_id, calls, errors, prompt_tokens,
      completion_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, reasoning_tokens,
      audio_input_tokens, audio_output_tokens, image_input_tokens, cost_pusd, unpriced_calls, hist_idx, hist_n)
    SELECT s.org_id, s.hour, s.workflow_id, s.node_id, s.node_type, s.provider, s.model, s.user_id, s.calls, s.errors,
      s.prompt_tokens, s.completion_tokens, s.cache_read_tokens, s.cache_write_tokens, s.cache_write_1h_tokens,
      s.reasoning_tokens, s.audio_input_tokens, s.audio_output_tokens, s.image_input_tokens, s.cost_pusd,
      s.unpriced_calls, h.hist_idx, h.hist_n
    FROM summed s JOIN hist h USING (org_id, hour, workflow_id, node_id, node_type, provider, model, user_id)
    ON CONFLICT (org_id, hour, workflow_id, node_id, node_type, provider, model, user_id) DO UPDATE SET
      calls = u.calls + excluded.calls, errors = u.errors + excluded.errors,
      prompt_tokens = u.prompt_tokens + excluded.prompt_tokens,
      completion_tokens = u.completion_tokens + excluded.completion_tokens,
      cache_read_tokens = u.cache_read_tokens + excluded.cache_read_tokens,
      cache_write_tokens = u.cache_write_tokens + excluded.cache_write_tokens,
      cache_write_1h_tokens = u.cache_write_1h_tokens + excluded.cache_write_1h_tokens,
      reasoning_tokens = u.reasoning_tokens + excluded.reasoning_tokens,
      audio_input_tokens = u.audio_input_tokens + excluded.audio_input_tokens,
      audio_output_tokens = u.audio_output_tokens + excluded.audio_output_tokens,
      image_input_tokens = u.image_input_tokens + excluded.image_input_tokens,
      cost_pusd = u.cost_pusd + excluded.cost_pusd, unpriced_calls = u.unpriced_calls + excluded.unpriced_calls,
      (hist_idx, hist_n) = (SELECT a.idx, a.n FROM nodeai.hist_add(u.hist_idx, u.hist_n, excluded.hist_idx, excluded.hist_n) a)
  )
  SELECT coalesce(sum(s.deltas), 0) INTO n FROM summed s;
  RETURN n;
END
$$;
SELECT nodeai.expose('nodeai.fold_usage(integer)', '{}');

-- Spend by UTC day, without gaps: {"org_id","from","to" (dates, `to` exclusive),"by":"total|model|provider|workflow|node|
-- user","filter":{"model"?,"provider"?,"workflow_id"?,"node_id"?,"user_id"?},"limit"?} → {"from","to","series":[{"key",
-- "pusd":[text],"calls":[int]}]}, the dearest key first. Runs are no calls: what they cost is in their calls.
CREATE FUNCTION public.spend_daily(p jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  org uuid := coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  first_day date := (p ->> 'from')::date;
  end_day date := (p ->> 'to')::date;
  f jsonb := coalesce(nullif(p -> 'filter', 'null'), '{}');
  series jsonb;
BEGIN
  IF first_day IS NULL OR end_day IS NULL OR end_day <= first_day OR end_day - first_day > 1100 THEN
    RAISE EXCEPTION 'a time of 1 to 1100 days is expected' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  WITH cell AS (
    SELECT (c.hour AT TIME ZONE 'UTC')::date AS day, c.cost_pusd, c.calls,
      CASE p ->> 'by' WHEN 'model' THEN c.model WHEN 'provider' THEN c.provider WHEN 'workflow' THEN c.workflow_id::text
        WHEN 'node' THEN c.node_id WHEN 'user' THEN c.user_id::text END AS key
    FROM nodeai.usage_cells(org, (extract(epoch FROM first_day) * 1000000)::bigint,
      (extract(epoch FROM end_day) * 1000000)::bigint) c
    WHERE c.node_type IS NOT NULL
      AND (f ->> 'model' IS NULL OR c.model = f ->> 'model')
      AND (f ->> 'provider' IS NULL OR c.provider = f ->> 'provider')
      AND (f ->> 'workflow_id' IS NULL OR c.workflow_id = (f ->> 'workflow_id')::uuid)
      AND (f ->> 'node_id' IS NULL OR c.node_id = f ->> 'node_id')
      AND (f ->> 'user_id' IS NULL OR c.user_id = (f ->> 'user_id')::uuid)
  ), day AS (
    SELECT c.key, c.day, sum(c.cost_pusd) AS pusd, sum(c.calls)::bigint AS calls FROM cell c GROUP BY 1, 2
  ), key AS (
    SELECT d.key, sum(d.pusd) AS pusd, row_number() OVER (ORDER BY sum(d.pusd) DESC, d.key NULLS LAST) AS place
    FROM day d GROUP BY 1 ORDER BY place LIMIT least(coalesce((p ->> 'limit')::integer, 100), 1000)
  ), wide AS (
    SELECT k.place, k.key, jsonb_agg(coalesce(d.pusd, 0)::text ORDER BY s.i) AS pusd,
      jsonb_agg(coalesce(d.calls, 0) ORDER BY s.i) AS calls
    FROM key k CROSS JOIN generate_series(0, end_day - first_day - 1) AS s(i)
    LEFT JOIN day d ON d.key IS NOT DISTINCT FROM k.key AND d.day = first_day + s.i
    GROUP BY 1, 2
  )
  SELECT jsonb_agg(jsonb_build_object('key', w.key, 'pusd', w.pusd, 'calls', w.calls) ORDER BY w.place)
    INTO series FROM wide w;
  IF series IS NULL AND coalesce(p ->> 'by', 'total') = 'total' THEN
    SELECT jsonb_build_array(jsonb_build_object('key', NULL, 'pusd', jsonb_agg('0'::text), 'calls', jsonb_agg(0)))
      INTO series FROM generate_series(1, end_day - first_day);
  END IF;
  RETURN jsonb_build_object('from', first_day, 'to', end_day, 'series', coalesce(series, '[]'));
END
$$;
SELECT nodeai.expose('public.spend_daily(jsonb)', '{authenticated,service_role}');
SELECT nodeai.allow_call('spend_daily');

-- Partitions -----------------------------------------------------------------------------------------------------------

-- The tables that are partitioned by day.
CREATE FUNCTION nodeai.daily_tables() RETURNS text[] LANGUAGE sql IMMUTABLE
  RETURN ARRAY['traces', 'spans', 'span_payloads', 'usage_logs'];
SELECT nodeai.expose('nodeai.daily_tables()', '{}');

CREATE OR REPLACE FUNCTION nodeai.add_partitions(first_day date, last_day date) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  made integer := 0;
  parent text;
  step integer;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('nodeai.partitions', 0));
  FOREACH parent IN ARRAY nodeai.daily_tables() LOOP
    FOR step IN 0..(last_day - first_day) LOOP
      IF nodeai.add_partition(parent, first_day + step) THEN
        made := made + 1;
      END IF;
    END LOOP;
  END LOOP;
  RETURN made;
END
$$;

-- Detaches and drops: who reads meanwhile waits for the catalog alone, not for the rows.
CREATE OR REPLACE FUNCTION nodeai.drop_partitions(first_kept date) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  part record;
  parent text;
  dropped integer := 0;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('nodeai.partitions', 0));
  FOREACH parent IN ARRAY nodeai.daily_tables() LOOP
    FOR part IN
      SELECT c.relname FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
      WHERE i.inhparent = format('public.%I', parent)::regclass
        AND c.relname ~ '_[0-9]{8}$' AND to_date(right(c.relname, 8), 'YYYYMMDD') < first_kept
    LOOP
      EXECUTE format('ALTER TABLE public.%I DETACH PARTITION public.%I', parent, part.relname);
      EXECUTE format('DROP TABLE public.%I', part.relname);
      dropped := dropped + 1;
    END LOOP;
    EXECUTE format('DELETE FROM public.%I WHERE day < %L', parent || '_default', first_kept);
  END LOOP;
  DELETE FROM public.trace_days d WHERE d.day < first_kept;
  RETURN dropped;
END
$$;

SELECT nodeai.add_default_partition('span_payloads');
SELECT nodeai.add_partitions((now() AT TIME ZONE 'UTC')::date - 1, (now() AT TIME ZONE 'UTC')::date + 7);

CREATE OR REPLACE FUNCTION nodeai.apply_retention(today date) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  longest integer := (SELECT coalesce(max(o.retention_days), 30) FROM public.organizations o);
  org record;
  touched bigint;
  deleted bigint := 0;
BEGIN
  FOR org IN SELECT o.id, today - o.retention_days AS first_kept FROM public.organizations o
             WHERE o.retention_days < longest LOOP
    DELETE FROM public.span_payloads s USING public.trace_days d
      WHERE d.org_id = org.id AND d.day < org.first_kept
        AND s.org_id = d.org_id AND s.trace_id = d.trace_id AND s.day = d.day;
    DELETE FROM public.spans s USING public.trace_days d
      WHERE d.org_id = org.id AND d.day < org.first_kept
        AND s.org_id = d.org_id AND s.trace_id = d.trace_id AND s.day = d.day;
    GET DIAGNOSTICS touched = ROW_COUNT;
    deleted := deleted + touched;
    DELETE FROM public.traces t WHERE t.org_id = org.id AND t.day < org.first_kept;
    DELETE FROM public.usage_logs u WHERE u.org_id = org.id AND u.day < org.first_kept;
    DELETE FROM public.trace_days d WHERE d.org_id = org.id AND d.day < org.first_kept;
  END LOOP;
  -- The sums outlive their spans: a year of them is what a forecast and a comparison with last year need.
  DELETE FROM public.usage_hours u WHERE u.hour < (today - 800)::timestamp AT TIME ZONE 'UTC';
  RETURN jsonb_build_object('spans_deleted', deleted, 'partitions_dropped', nodeai.drop_partitions(today - longest));
END
$$;

-- All of it, and the sums by the hour.
ALTER FUNCTION nodeai.housekeeping(jsonb) RENAME TO keep_house_and_budgets;
CREATE FUNCTION nodeai.housekeeping(p jsonb) RETURNS jsonb
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
  SELECT nodeai.keep_house_and_budgets(p) || jsonb_build_object('usage_folded', nodeai.fold_usage())
$$;
SELECT nodeai.expose('nodeai.housekeeping(jsonb)', '{service_role}');

-- Writing --------------------------------------------------------------------------------------------------------------

-- Splits attributes: what stays in the hot table, and what is big.
CREATE FUNCTION nodeai.small_attributes(attributes jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE
  RETURN CASE WHEN pg_column_size(attributes) <= 1024 THEN attributes ELSE (
    SELECT coalesce(jsonb_object_agg(e.k, e.v), '{}') FROM jsonb_each(attributes) AS e(k, v)
    WHERE pg_column_size(e.v) <= 256) END;
CREATE FUNCTION nodeai.big_attributes(attributes jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE
  RETURN (SELECT coalesce(jsonb_object_agg(e.k, e.v), '{}') FROM jsonb_each(attributes) AS e(k, v)
    WHERE pg_column_size(e.v) > 256);
SELECT nodeai.expose('nodeai.small_attributes(jsonb)', '{authenticated,service_role}');
SELECT nodeai.expose('nodeai.big_attributes(jsonb)', '{authenticated,service_role}');

-- A text as an id, null when it is none: attributes of clients may say anything.
CREATE FUNCTION nodeai.uuid_of(said text) RETURNS uuid LANGUAGE sql IMMUTABLE
  RETURN CASE WHEN said ~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$' THEN said::uuid END;
SELECT nodeai.expose('nodeai.uuid_of(text)', '{authenticated,service_role}');

-- Stores spans, their traces and the sums by the hour; what is there already stays as it is, so a retry changes and
-- counts nothing. A trace that is not given is derived from its spans; no span is ever changed by a later one. A span
-- has, beside its columns, `measure` (`none`: not counted) and `trace_kind`. (plpgsql, because it keeps the plan over
-- all partitions: planning this statement costs twice as much as running it.) Returns {"inserted", "skipped"} (spans).
CREATE OR REPLACE FUNCTION nodeai.store_spans(org uuid, given_traces jsonb, given_spans jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  stored_count bigint;
BEGIN
  WITH named AS MATERIALIZED (
    SELECT DISTINCT ON (x.trace_id) x.trace_id, x.name, coalesce(x.kind, 'request') AS kind,
      coalesce(x.status, 'unset') AS status, coalesce(x.start_us, x.started_us) AS at_us,
      greatest(0, coalesce(x.duration_us, x.end_us - coalesce(x.start_us, x.started_us), 0)) AS took_us,
      x.execution_id, x.workflow_id, x.user_id, coalesce(x.prompt_tokens, 0) AS prompt_tokens,
      coalesce(x.completion_tokens, 0) AS completion_tokens, coalesce(x.cost_pusd, 0) AS cost_pusd,
      nullif(x.error, 'null') AS error, coalesce(x.attributes, '{}') AS attributes
    FROM jsonb_to_recordset(coalesce(nullif(given_traces, 'null'), '[]')) AS x(
      trace_id text, name text, kind text, status text, start_us bigint, started_us bigint, end_us bigint,
      duration_us bigint, execution_id uuid, workflow_id uuid, user_id uuid, prompt_tokens bigint,
      completion_tokens bigint, cost_pusd bigint, error jsonb, attributes jsonb)
  ), s AS MATERIALIZED (
    SELECT DISTINCT ON (x.trace_id, x.span_id)
      x.*, coalesce(x.start_us, x.started_us) AS at_us,
      greatest(0, coalesce(x.duration_us, x.end_us - coalesce(x.start_us, x.started_us), 0)) AS took_us,
      coalesce(x.workflow_id, n.workflow_id, nodeai.uuid_of(x.attributes ->> 'nodeai.workflow_id')) AS of_workflow,
      coalesce(x.user_id, n.user_id, CASE WHEN x.trace_kind IS NULL THEN nodeai.uuid_of(x.attributes ->> 'nodeai.user_id') END) AS of_user,
      coalesce(x.measure, CASE WHEN x.name LIKE 'invoke_workflow%' THEN 'run' WHEN x.model IS NOT NULL THEN 'model'
        WHEN x.node_id IS NOT NULL THEN 'node' ELSE 'none' END) AS measured,
      coalesce(pg_column_size(x.attributes) > 1024, false) AS big,
      coalesce(pg_column_size(x.events) > 1024, false) AS eventful
    FROM jsonb_to_recordset(coalesce(nullif(given_spans, 'null'), '[]')) AS x(
      trace_id text, span_id text, parent_span_id text, name text, kind text, node_id text, node_type text,
      attempt integer, status text, status_message text, start_us bigint, started_us bigint, end_us bigint,
      duration_us bigint, provider text, model text, prompt_tokens bigint, completion_tokens bigint,
      cost_pusd bigint, attributes jsonb, events jsonb, links jsonb, cache_read_tokens bigint,
      cache_write_tokens bigint, cache_write_1h_tokens bigint, reasoning_tokens bigint, audio_input_tokens bigint,
      audio_output_tokens bigint, image_input_tokens bigint, service_tier text, price_version text, session_id text,
      tags text[], priced boolean, workflow_id uuid, user_id uuid, end_user text, measure text, trace_kind text)
    LEFT JOIN named n ON n.trace_id = x.trace_id
  ), stored AS (
    INSERT INTO public.spans (
      org_id, trace_id, span_id, parent_span_id, day, name, kind, node_id, node_type, attempt, status,
      status_message, started_at, duration_us, provider, model, prompt_tokens, completion_tokens, cost_pusd,
      attributes, events, links, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, reasoning_tokens,
      audio_input_tokens, audio_output_tokens, image_input_tokens, service_tier, price_version, session_id, tags,
      priced, workflow_id, user_id, end_user, measure)
    SELECT org, s.trace_id, s.span_id, nullif(s.parent_span_id, ''), nodeai.day_of(s.at_us), s.name,
      coalesce(s.kind, 'internal'), s.node_id, s.node_type, s.attempt, coalesce(s.status, 'unset'), s.status_message,
      nodeai.from_us(s.at_us), s.took_us, s.provider, s.model, s.prompt_tokens, s.completion_tokens, s.cost_pusd,
      CASE WHEN s.big THEN nodeai.small_attributes(s.attributes) ELSE coalesce(s.attributes, '{}') END,
      CASE WHEN s.eventful THEN '[]' ELSE coalesce(s.events, '[]') END, coalesce(s.links, '[]'), s.cache_read_tokens,
      s.cache_write_tokens, s.cache_write_1h_tokens, s.reasoning_tokens, s.audio_input_tokens, s.audio_output_tokens,
      s.image_input_tokens, s.service_tier, s.price_version, s.session_id, s.tags, s.priced, s.of_workflow,
      coalesce(s.of_user, auth.uid()), s.end_user, nullif(s.measured, 'none')
    FROM s
    ON CONFLICT (day, org_id, trace_id, span_id) DO NOTHING
    RETURNING *
  ), payload AS (
    INSERT INTO public.span_payloads (org_id, trace_id, span_id, day, attributes, events)
    SELECT org, s.trace_id, s.span_id, nodeai.day_of(s.at_us),
      CASE WHEN s.big THEN nodeai.big_attributes(s.attributes) ELSE '{}' END, CASE WHEN s.eventful THEN s.events END
    FROM s JOIN stored n ON n.trace_id = s.trace_id AND n.span_id = s.span_id WHERE s.big OR s.eventful
    ON CONFLICT DO NOTHING
  ), counted AS (
    SELECT date_trunc('hour', n.started_at, 'UTC') AS hour,
      coalesce(n.workflow_id, '00000000-0000-0000-0000-000000000000') AS workflow_id,
      CASE WHEN n.measure = 'run' THEN '' ELSE coalesce(n.node_id, '') END AS node_id,
      CASE WHEN n.measure = 'run' THEN '' ELSE coalesce(nullif(n.node_type, ''), n.measure) END AS node_type,
      CASE WHEN n.measure = 'model' THEN coalesce(n.provider, '') ELSE '' END AS provider,
      CASE WHEN n.measure = 'model' THEN coalesce(n.model, '') ELSE '' END AS model,
      coalesce(n.user_id, '00000000-0000-0000-0000-000000000000') AS user_id,
      nodeai.hist_bucket(n.duration_us) AS bucket, count(*) AS calls, count(*) FILTER (WHERE n.status = 'error') AS errors,
      sum(n.prompt_tokens) AS prompt_tokens, sum(n.completion_tokens) AS completion_tokens,
      sum(n.cache_read_tokens) AS cache_read_tokens, sum(n.cache_write_tokens) AS cache_write_tokens,
      sum(n.cache_write_1h_tokens) AS cache_write_1h_tokens, sum(n.reasoning_tokens) AS reasoning_tokens,
      sum(n.audio_input_tokens) AS audio_input_tokens, sum(n.audio_output_tokens) AS audio_output_tokens,
      sum(n.image_input_tokens) AS image_input_tokens, sum(n.cost_pusd) AS cost_pusd,
      count(*) FILTER (WHERE n.measure = 'model' AND NOT coalesce(n.priced, n.cost_pusd IS NOT NULL)) AS unpriced_calls,
      n.measure = 'run' AS is_run
    FROM stored n WHERE n.measure IS NOT NULL
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, n.measure = 'run'
  ), summed AS (
    INSERT INTO public.usage_deltas (
      org_id, hour, workflow_id, node_id, node_type, provider, model, user_id, calls, errors, prompt_tokens,
      completion_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, reasoning_tokens,
      audio_input_tokens, audio_output_tokens, image_input_tokens, cost_pusd, unpriced_calls, hist_idx, hist_n)
    -- A run's own tokens and costs are the sums of its calls, which are counted themselves.
    SELECT org, c.hour, c.workflow_id, c.node_id, c.node_type, c.provider, c.model, c.user_id, sum(c.calls), sum(c.errors),
      coalesce(sum(c.prompt_tokens) FILTER (WHERE NOT c.is_run), 0),
      coalesce(sum(c.completion_tokens) FILTER (WHERE NOT c.is_run), 0),
      coalesce(sum(c.cache_read_tokens) FILTER (WHERE NOT c.is_run), 0),
      coalesce(sum(c.cache_write_tokens) FILTER (WHERE NOT c.is_run), 0),
      coalesce(sum(c.cache_write_1h_tokens) FILTER (WHERE NOT c.is_run), 0),
      coalesce(sum(c.reasoning_tokens) FILTER (WHERE NOT c.is_run), 0),
      coalesce(sum(c.audio_input_tokens) FILTER (WHERE NOT c.is_run), 0),
      coalesce(sum(c.audio_output_tokens) FILTER (WHERE NOT c.is_run), 0),
      coalesce(sum(c.image_input_tokens) FILTER (WHERE NOT c.is_run), 0),
      coalesce(sum(c.cost_pusd) FILTER (WHERE NOT c.is_run), 0), sum(c.unpriced_calls),
      array_agg(c.bucket ORDER BY c.bucket), array_agg(c.calls ORDER BY c.bucket)
    FROM counted c GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
  ), fresh AS (
    SELECT n.trace_id, count(*)::integer AS spans, min(n.started_at) AS first_at,
      max(n.started_at + n.duration_us * interval '1 microsecond') AS last_at,
      coalesce(sum(n.prompt_tokens) FILTER (WHERE n.measure <> 'run'), 0)::bigint AS prompt_tokens,
      coalesce(sum(n.completion_tokens) FILTER (WHERE n.measure <> 'run'), 0)::bigint AS completion_tokens,
      coalesce(sum(n.cost_pusd) FILTER (WHERE n.measure <> 'run'), 0)::bigint AS cost_pusd,
      min(n.session_id) AS session_id, min(n.end_user) AS end_user
    FROM stored n GROUP BY n.trace_id
  ), tagged AS (
    SELECT n.trace_id, array_agg(DISTINCT tag ORDER BY tag) AS tags FROM stored n CROSS JOIN LATERAL unnest(n.tags) tag
    GROUP BY n.trace_id
  ), root AS (
    SELECT DISTINCT ON (s.trace_id) s.trace_id, s.name, s.status, s.attributes, s.of_workflow, s.of_user, s.trace_kind,
      nullif(s.parent_span_id, '') IS NULL OR s.kind = 'server' OR s.measured = 'run' AS rooted
    FROM s ORDER BY s.trace_id, (nullif(s.parent_span_id, '') IS NULL) DESC, s.at_us, s.span_id
  ), t AS (
    SELECT n.*, true AS rooted FROM named n
    UNION ALL
    SELECT r.trace_id, r.name, coalesce(r.trace_kind, CASE WHEN r.name LIKE 'invoke_workflow%' THEN 'run' ELSE 'request' END),
      CASE WHEN r.rooted THEN coalesce(r.status, 'unset') ELSE 'unset' END, nodeai.to_us(f.first_at),
      nodeai.to_us(f.last_at) - nodeai.to_us(f.first_at), nodeai.uuid_of(r.attributes ->> 'nodeai.execution_id'), r.of_workflow,
      r.of_user, f.prompt_tokens, f.completion_tokens, f.cost_pusd, NULL::jsonb, '{}'::jsonb, r.rooted
    FROM root r JOIN fresh f ON f.trace_id = r.trace_id
    WHERE NOT EXISTS (SELECT FROM named n WHERE n.trace_id = r.trace_id)
  ), traced AS (
    INSERT INTO public.traces AS old (
      org_id, trace_id, day, name, kind, status, started_at, duration_us, execution_id, workflow_id, user_id,
      span_count, prompt_tokens, completion_tokens, cost_pusd, error, attributes, session_id, end_user, tags, rooted)
    SELECT org, t.trace_id, nodeai.day_of(t.at_us), t.name, t.kind, t.status, nodeai.from_us(t.at_us), t.took_us,
      t.execution_id, t.workflow_id, coalesce(t.user_id, auth.uid()), coalesce(f.spans, 0),
      t.prompt_tokens, t.completion_tokens, t.cost_pusd, t.error, t.attributes, f.session_id, f.end_user, g.tags, t.rooted
    FROM t LEFT JOIN fresh f ON f.trace_id = t.trace_id LEFT JOIN tagged g ON g.trace_id = t.trace_id
    ON CONFLICT (day, trace_id, org_id) DO UPDATE SET
      name = CASE WHEN excluded.kind = 'run' OR (excluded.rooted AND NOT old.rooted) THEN excluded.name ELSE old.name END,
      kind = CASE WHEN excluded.kind = 'run' THEN 'run' ELSE old.kind END,
      status = CASE WHEN 'error' IN (old.status, excluded.status) THEN 'error'
                    WHEN 'ok' IN (old.status, excluded.status) THEN 'ok' ELSE 'unset' END,
      started_at = least(old.started_at, excluded.started_at),
      duration_us = greatest(
        nodeai.to_us(old.started_at) + old.duration_us, nodeai.to_us(excluded.started_at) + excluded.duration_us)
        - nodeai.to_us(least(old.started_at, excluded.started_at)),
      execution_id = coalesce(excluded.execution_id, old.execution_id),
      workflow_id = coalesce(excluded.workflow_id, old.workflow_id),
      span_count = old.span_count + excluded.span_count,
      prompt_tokens = old.prompt_tokens + excluded.prompt_tokens,
      completion_tokens = old.completion_tokens + excluded.completion_tokens,
      cost_pusd = old.cost_pusd + excluded.cost_pusd,
      error = coalesce(excluded.error, old.error),
      attributes = old.attributes || excluded.attributes,
      session_id = coalesce(old.session_id, excluded.session_id),
      end_user = coalesce(old.end_user, excluded.end_user),
      tags = CASE WHEN excluded.tags IS NULL THEN old.tags ELSE ARRAY(
        SELECT DISTINCT x FROM unnest(old.tags || excluded.tags) x ORDER BY x) END,
      rooted = old.rooted OR excluded.rooted
    WHERE excluded.span_count > 0
  ), indexed AS (
    INSERT INTO public.trace_days (trace_id, org_id, day)
    SELECT s.trace_id, org, nodeai.day_of(s.at_us) FROM s
    UNION SELECT t.trace_id, org, nodeai.day_of(t.at_us) FROM t
    ON CONFLICT DO NOTHING
  )
  SELECT count(*) INTO stored_count FROM stored;
  RETURN jsonb_build_object(
    'inserted', stored_count,
    'skipped', jsonb_array_length(coalesce(nullif(given_spans, 'null'), '[]')) - stored_count);
END
$$;

-- Reading --------------------------------------------------------------------------------------------------------------

CREATE OR REPLACE FUNCTION nodeai.trace_json(t public.traces) RETURNS jsonb LANGUAGE sql STABLE
  RETURN jsonb_build_object(
    'trace_id', t.trace_id, 'name', t.name, 'kind', t.kind, 'status', t.status,
    'start_us', nodeai.to_us(t.started_at), 'duration_us', t.duration_us, 'execution_id', t.execution_id,
    'workflow_id', t.workflow_id, 'user_id', t.user_id, 'span_count', t.span_count,
    'prompt_tokens', t.prompt_tokens, 'completion_tokens', t.completion_tokens, 'cost_pusd', t.cost_pusd,
    'error', t.error, 'attributes', t.attributes, 'session_id', t.session_id, 'end_user', t.end_user, 'tags', t.tags);

-- The columns that came with this page are left out where they say nothing.
CREATE OR REPLACE FUNCTION nodeai.span_json(s public.spans) RETURNS jsonb LANGUAGE sql STABLE
  RETURN jsonb_build_object(
    'trace_id', s.trace_id, 'span_id', s.span_id, 'parent_span_id', s.parent_span_id, 'name', s.name, 'kind', s.kind,
    'node_id', s.node_id, 'node_type', s.node_type, 'attempt', s.attempt, 'status', s.status,
    'status_message', s.status_message, 'start_us', nodeai.to_us(s.started_at),
    'end_us', nodeai.to_us(s.started_at) + s.duration_us, 'duration_us', s.duration_us, 'provider', s.provider,
    'model', s.model, 'prompt_tokens', s.prompt_tokens, 'completion_tokens', s.completion_tokens,
    'cost_pusd', s.cost_pusd, 'attributes', s.attributes, 'events', s.events, 'links', s.links)
  || jsonb_strip_nulls(jsonb_build_object(
    'cache_read_tokens', s.cache_read_tokens, 'cache_write_tokens', s.cache_write_tokens,
    'cache_write_1h_tokens', s.cache_write_1h_tokens, 'reasoning_tokens', s.reasoning_tokens,
    'audio_input_tokens', s.audio_input_tokens, 'audio_output_tokens', s.audio_output_tokens,
    'image_input_tokens', s.image_input_tokens, 'service_tier', s.service_tier, 'price_version', s.price_version,
    'session_id', s.session_id, 'tags', s.tags, 'priced', s.priced, 'end_user', s.end_user, 'measure', s.measure));

CREATE OR REPLACE FUNCTION public.trace_tree(p jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  org uuid := coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  wanted text := p ->> 'trace_id';
  days date[];
  trace jsonb;
BEGIN
  SELECT array_agg(d.day) INTO days FROM public.trace_days d WHERE d.trace_id = wanted AND d.org_id = org;
  IF days IS NULL THEN
    RETURN NULL;
  END IF;
  SELECT nodeai.trace_json(t) INTO trace FROM public.traces t
    WHERE t.day = ANY (days) AND t.org_id = org AND t.trace_id = wanted
    ORDER BY (t.kind = 'run') DESC, t.started_at LIMIT 1;
  RETURN jsonb_build_object('trace', trace, 'spans', (
    WITH big AS MATERIALIZED (
      SELECT x.day, x.span_id, x.attributes, x.events FROM public.span_payloads x
      WHERE x.day = ANY (days) AND x.org_id = org AND x.trace_id = wanted
    )
    SELECT coalesce(jsonb_agg(CASE WHEN b.span_id IS NULL THEN nodeai.span_json(s) ELSE nodeai.span_json(s)
      || jsonb_build_object('attributes', s.attributes || b.attributes, 'events', coalesce(b.events, s.events)) END
      ORDER BY s.started_at, s.span_id), '[]')
    FROM public.spans s LEFT JOIN big b ON b.day = s.day AND b.span_id = s.span_id
    WHERE s.day = ANY (days) AND s.org_id = org AND s.trace_id = wanted));
END
$$;

-- Spans of a client: {"org_id","spans":[…]} → {"inserted","skipped"}.
CREATE FUNCTION public.spans_ingest(p jsonb) RETURNS jsonb
LANGUAGE sql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
  SELECT nodeai.store_spans(coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid, '[]', p -> 'spans')
$$;
SELECT nodeai.expose('public.spans_ingest(jsonb)', '{authenticated,service_role}');
SELECT nodeai.allow_call('spans_ingest');

-- Search ---------------------------------------------------------------------------------------------------------------

-- One term of a search as a condition on `t` (public.traces) of the day `d`: {"field","op" ("=","<","<=",">",">="),
-- "values":[text or number],"not"?,"key"?}. Values are quoted here; fields and operators are those of this list.
CREATE FUNCTION nodeai.search_term(term jsonb, d date) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path = '' AS $$
DECLARE
  field text := term ->> 'field';
  op text := coalesce(term ->> 'op', '=');
  given text[] := ARRAY(SELECT jsonb_array_elements_text(term -> 'values'));
  sought text := term #>> '{values,0}';
  -- As the text stands inside of JSON, and without meaning for LIKE.
  pattern text := '%' || replace(replace(replace(substr(to_jsonb(sought)::text, 2, length(to_jsonb(sought)::text) - 2),
    '\', '\\'), '%', '\%'), '_', '\_') || '%';
  of_span constant text := format('s.day BETWEEN %L AND %L AND s.org_id = t.org_id AND s.trace_id = t.trace_id', d, d + 1);
  condition text;
BEGIN
  IF NOT op = ANY (ARRAY['=', '<', '<=', '>', '>=']) THEN
    RAISE EXCEPTION 'not an operator: %', op USING ERRCODE = 'invalid_parameter_value';
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
    WHEN 'text' THEN format('(t.name ILIKE %1$L OR EXISTS (SELECT FROM public.spans s WHERE %2$s
        AND (s.name ILIKE %1$L OR s.status_message ILIKE %1$L OR s.attributes::text ILIKE %1$L OR s.events::text ILIKE %1$L))
      OR EXISTS (SELECT FROM public.span_payloads s WHERE %2$s
        AND (s.attributes::text ILIKE %1$L OR s.events::text ILIKE %1$L)))', pattern, of_span) END;
  IF condition IS NULL THEN
    RAISE EXCEPTION 'not a field: %', field USING ERRCODE = 'invalid_parameter_value';
  END IF;
  RETURN CASE WHEN (term ->> 'not')::boolean THEN format('(%s) IS NOT TRUE', condition) ELSE condition END;
END
$$;
SELECT nodeai.expose('nodeai.search_term(jsonb, date)', '{authenticated,service_role}');

-- A page of traces, newest first, all of whose terms hold: {"org_id","terms":[…],"from_us"?,"to_us"?,"after"?:{"at_us",
-- "trace_id"},"limit"} → {"traces":[…],"next":{"at_us","trace_id"} or null}. It goes back day by day and stops with
-- what it has after two seconds: a page may be short, even empty, and go on.
CREATE FUNCTION public.traces_search(p jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  org uuid := coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  most integer := least(greatest(coalesce((p ->> 'limit')::integer, 50), 1), 1000);
  after_us bigint := (p #>> '{after,at_us}')::bigint;
  after_id text := coalesce(p #>> '{after,trace_id}', '');
  upper_us bigint := least(coalesce((p ->> 'to_us')::bigint, 4102444800000000), coalesce(after_us + 1, 4102444800000000));
  lower_us bigint := coalesce((p ->> 'from_us')::bigint, 0);
  until timestamptz := clock_timestamp() + interval '2 seconds';
  d date;
  found jsonb := '[]';
  page jsonb;
  condition text;
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
    SELECT coalesce(string_agg(' AND ' || nodeai.search_term(e, d), ''), '') INTO condition
      FROM jsonb_array_elements(coalesce(nullif(p -> 'terms', 'null'), '[]')) e;
    EXECUTE format('SELECT jsonb_agg(nodeai.trace_json(x.t) ORDER BY (x.t).started_at DESC, (x.t).trace_id DESC) FROM (
        SELECT t FROM public.traces t
        WHERE t.org_id = %L AND t.day = %L AND t.started_at >= %L AND t.started_at < %L %s %s
        ORDER BY t.started_at DESC, t.trace_id DESC LIMIT %s) x',
      org, d, nodeai.from_us(lower_us), nodeai.from_us(upper_us),
      CASE WHEN after_us IS NULL THEN '' ELSE format('AND (t.started_at, t.trace_id) < (%L, %L)', nodeai.from_us(after_us), after_id) END,
      condition, most + 1 - jsonb_array_length(found)) INTO page;
    found := found || coalesce(page, '[]');
    IF jsonb_array_length(found) > most THEN
      next := jsonb_build_object('at_us', found -> (most - 1) -> 'start_us', 'trace_id', found -> (most - 1) -> 'trace_id');
      found := found - most;
      EXIT;
    ELSIF clock_timestamp() > until THEN
      next := jsonb_build_object('at_us', (d - date '1970-01-01')::bigint * 86400000000, 'trace_id', '');
      EXIT;
    END IF;
  END LOOP;
  RETURN jsonb_build_object('traces', found, 'next', next);
END
$$;

-- Days of an organisation's traces that have no partition of their own, for whoever may see them.
CREATE FUNCTION nodeai.stray_days(org uuid) RETURNS SETOF date
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
  SELECT DISTINCT t.day FROM public.traces_default t
  WHERE t.org_id = org AND (current_setting('role') IN ('none', 'service_role') OR org = ANY (nodeai.orgs_with('viewer')))
$$;
SELECT nodeai.expose('nodeai.stray_days(uuid)', '{authenticated,service_role}');
SELECT nodeai.expose('public.traces_search(jsonb)', '{authenticated,service_role}');
SELECT nodeai.allow_call('traces_search');
