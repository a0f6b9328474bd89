-- Sums by the UTC day beside those by the hour: what looks at weeks reads a row for each day of a cell. They are folded in the
-- same statement as the hours, so they equal them at any time.

CREATE TABLE public.usage_days (LIKE public.usage_hours INCLUDING DEFAULTS);
ALTER TABLE public.usage_days DROP COLUMN hour, ADD COLUMN day date NOT NULL;
ALTER TABLE public.usage_days ADD PRIMARY KEY (org_id, day, workflow_id, node_id, node_type, provider, model, user_id);
CREATE INDEX usage_days_day_idx ON public.usage_days (day);
SELECT nodeai.tenant_table('public.usage_days', 'viewer', 'viewer', 'SELECT');

-- The histograms of a day by one dimension alone (`workflow`, `node`, `node_type`, `provider`, `model`, `user`), or by none (empty),
-- of runs or of calls: the hundreds of cells of a day are added up once, not at each look. `key` is as metrics_query shows it.
CREATE TABLE public.usage_day_hists (
  org_id uuid NOT NULL,
  day date NOT NULL,
  dim text NOT NULL,
  key text NOT NULL,
  runs boolean NOT NULL,
  hist_idx integer[] NOT NULL,
  hist_n bigint[] NOT NULL,
  PRIMARY KEY (org_id, day, dim, key, runs)
);
CREATE INDEX usage_day_hists_day_idx ON public.usage_day_hists (day);
SELECT nodeai.tenant_table('public.usage_day_hists', 'viewer', 'viewer', 'SELECT');

-- Under which keys a cell counts in them.
CREATE FUNCTION nodeai.hist_keys(workflow_id uuid, node_id text, node_type text, provider text, model text, user_id uuid)
RETURNS TABLE (dim text, key text) LANGUAGE sql IMMUTABLE ROWS 7 SET search_path = '' AS $$
  VALUES ('', ''), ('node', node_id), ('node_type', node_type), ('provider', provider), ('model', model),
    ('workflow', coalesce(nullif(workflow_id, '00000000-0000-0000-0000-000000000000')::text, '')),
    ('user', coalesce(nullif(user_id, '00000000-0000-0000-0000-000000000000')::text, ''))
$$;
SELECT nodeai.expose('nodeai.hist_keys(uuid, text, text, text, text, uuid)', '{}');

-- The sums of before.
WITH gone AS (SELECT u.* FROM public.usage_hours u), days_hists AS (
    SELECT x.org_id, x.day, x.workflow_id, x.node_id, x.node_type, x.provider, x.model, x.user_id,
      array_agg(x.i ORDER BY x.i) AS hist_idx, array_agg(x.c ORDER BY x.i) AS hist_n
    FROM (SELECT g.org_id, (g.hour AT TIME ZONE 'UTC')::date AS day, g.workflow_id, g.node_id, g.node_type, g.provider, g.model, g.user_id, h.i,
            sum(h.c)::bigint AS c
          FROM gone g CROSS JOIN LATERAL unnest(g.hist_idx, g.hist_n) AS h(i, c) GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9) x
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
  ), days_sums AS (
    SELECT g.org_id, (g.hour AT TIME ZONE 'UTC')::date AS day, g.workflow_id, g.node_id, g.node_type, g.provider, g.model, g.user_id,
      sum(g.calls)::bigint AS calls, sum(g.errors)::bigint AS errors, sum(g.prompt_tokens)::bigint AS prompt_tokens,
      sum(g.completion_tokens)::bigint AS completion_tokens, sum(g.cache_read_tokens)::bigint AS cache_read_tokens,
      sum(g.cache_write_tokens)::bigint AS cache_write_tokens,
      sum(g.cache_write_1h_tokens)::bigint AS cache_write_1h_tokens,
      sum(g.reasoning_tokens)::bigint AS reasoning_tokens, sum(g.audio_input_tokens)::bigint AS audio_input_tokens,
      sum(g.audio_output_tokens)::bigint AS audio_output_tokens,
      sum(g.image_input_tokens)::bigint AS image_input_tokens, sum(g.cost_pusd) AS cost_pusd,
      sum(g.unpriced_calls)::bigint AS unpriced_calls, count(*) AS deltas
    FROM gone g GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
  )
  INSERT INTO public.usage_days AS u (
    org_id, day, workflow_id, node_id, node_type, provider, model, user_id, calls, errors, prompt_tokens,
    completion_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, reasoning_tokens,
    audio_input_tokens, audio_output_tokens, image_input_tokens, cost_pusd, unpriced_calls, hist_idx, hist_n)
  SELECT
    s.org_id, s.day, s.workflow_id, s.node_id, s.node_type, s.provider, s.model, s.user_id, s.calls, s.errors,
    s.prompt_tokens, s.completion_tokens, s.cache_read_tokens, s.cache_write_tokens, s.cache_write_1h_tokens,
    s.reasoning_tokens, s.audio_input_tokens, s.audio_output_tokens, s.image_input_tokens, s.cost_pusd,
    s.unpriced_calls, h.hist_idx, h.hist_n
  FROM days_sums s JOIN days_hists h USING (
    org_id, day, workflow_id, node_id, node_type, provider, model, user_id)
  ON CONFLICT (org_id, day, workflow_id, node_id, node_type, provider, model, user_id) DO UPDATE SET
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
    (hist_idx, hist_n) = (SELECT a.idx, a.n FROM nodeai.hist_add(u.hist_idx, u.hist_n, excluded.hist_idx, excluded.hist_n) a);

WITH keyed AS (
    SELECT x.org_id, x.day, x.dim, x.key, x.runs, array_agg(x.i ORDER BY x.i) AS hist_idx, array_agg(x.c ORDER BY x.i) AS hist_n
    FROM (SELECT d.org_id, d.day, k.dim, k.key, d.node_type = '' AS runs, h.i, sum(h.c)::bigint AS c
          FROM public.usage_days d CROSS JOIN LATERAL nodeai.hist_keys(d.workflow_id, d.node_id, d.node_type, d.provider, d.model, d.user_id) k
            CROSS JOIN LATERAL unnest(d.hist_idx, d.hist_n) AS h(i, c) GROUP BY 1, 2, 3, 4, 5, 6) x
    GROUP BY 1, 2, 3, 4, 5
  )
  INSERT INTO public.usage_day_hists AS u (org_id, day, dim, key, runs, hist_idx, hist_n)
  SELECT k.org_id, k.day, k.dim, k.key, k.runs, k.hist_idx, k.hist_n FROM keyed k
  ON CONFLICT (org_id, day, dim, key, runs) DO UPDATE SET
    (hist_idx, hist_n) = (SELECT a.idx, a.n FROM nodeai.hist_add(u.hist_idx, u.hist_n, excluded.hist_idx, excluded.hist_n) a);

-- Folds the oldest `most` deltas into their cells of hours and days; returns how many. A reader sees each of them in one
-- place only.
-- (Without the JIT: what it compiles for this statement takes seconds, and the planner cannot know how few rows there are.)
CREATE OR REPLACE FUNCTION nodeai.fold_usage(most integer DEFAULT 100000) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' SET jit = off AS $$
DECLARE
  n bigint;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('nodeai.fold_usage', 0));
  WITH gone AS (
    DELETE FROM public.usage_deltas d WHERE d.id IN (SELECT x.id FROM public.usage_deltas x ORDER BY x.id LIMIT most)
    RETURNING d.*
  ), hours_hists AS (
    SELECT x.org_id, x.hour, x.workflow_id, x.node_id, x.node_type, x.provider, x.model, x.user_id,
      array_agg(x.i ORDER BY x.i) AS hist_idx, array_agg(x.c ORDER BY x.i) AS hist_n
    FROM (SELECT g.org_id, g.hour AS hour, g.workflow_id, g.node_id, g.node_type, g.provider, g.model, g.user_id, h.i,
            sum(h.c)::bigint AS c
          FROM gone g CROSS JOIN LATERAL unnest(g.hist_idx, g.hist_n) AS h(i, c) GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9) x
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
  ), hours_sums AS (
    SELECT g.org_id, g.hour AS hour, g.workflow_id, g.node_id, g.node_type, g.provider, g.model, g.user_id,
      sum(g.calls)::bigint AS calls, sum(g.errors)::bigint AS errors, sum(g.prompt_tokens)::bigint AS prompt_tokens,
      sum(g.completion_tokens)::bigint AS completion_tokens, sum(g.cache_read_tokens)::bigint AS cache_read_tokens,
      sum(g.cache_write_tokens)::bigint AS cache_write_tokens,
      sum(g.cache_write_1h_tokens)::bigint AS cache_write_1h_tokens,
      sum(g.reasoning_tokens)::bigint AS reasoning_tokens, sum(g.audio_input_tokens)::bigint AS audio_input_tokens,
      sum(g.audio_output_tokens)::bigint AS audio_output_tokens,
      sum(g.image_input_tokens)::bigint AS image_input_tokens, sum(g.cost_pusd) AS cost_pusd,
      sum(g.unpriced_calls)::bigint AS unpriced_calls, count(*) AS deltas
    FROM gone g GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
  ), days_hists AS (
    SELECT x.org_id, x.day, x.workflow_id, x.node_id, x.node_type, x.provider, x.model, x.user_id,
      array_agg(x.i ORDER BY x.i) AS hist_idx, array_agg(x.c ORDER BY x.i) AS hist_n
    FROM (SELECT g.org_id, (g.hour AT TIME ZONE 'UTC')::date AS day, g.workflow_id, g.node_id, g.node_type, g.provider, g.model, g.user_id, h.i,
            sum(h.c)::bigint AS c
          FROM gone g CROSS JOIN LATERAL unnest(g.hist_idx, g.hist_n) AS h(i, c) GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9) x
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
  ), days_sums AS (
    SELECT g.org_id, (g.hour AT TIME ZONE 'UTC')::date AS day, g.workflow_id, g.node_id, g.node_type, g.provider, g.model, g.user_id,
      sum(g.calls)::bigint AS calls, sum(g.errors)::bigint AS errors, sum(g.prompt_tokens)::bigint AS prompt_tokens,
      sum(g.completion_tokens)::bigint AS completion_tokens, sum(g.cache_read_tokens)::bigint AS cache_read_tokens,
      sum(g.cache_write_tokens)::bigint AS cache_write_tokens,
      sum(g.cache_write_1h_tokens)::bigint AS cache_write_1h_tokens,
      sum(g.reasoning_tokens)::bigint AS reasoning_tokens, sum(g.audio_input_tokens)::bigint AS audio_input_tokens,
      sum(g.audio_output_tokens)::bigint AS audio_output_tokens,
      sum(g.image_input_tokens)::bigint AS image_input_tokens, sum(g.cost_pusd) AS cost_pusd,
      sum(g.unpriced_calls)::bigint AS unpriced_calls, count(*) AS deltas
    FROM gone g GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
  ), keyed AS (
    SELECT x.org_id, x.day, x.dim, x.key, x.runs, array_agg(x.i ORDER BY x.i) AS hist_idx, array_agg(x.c ORDER BY x.i) AS hist_n
    FROM (SELECT d.org_id, d.day, k.dim, k.key, d.node_type = '' AS runs, h.i, sum(h.c)::bigint AS c
          FROM days_hists d CROSS JOIN LATERAL nodeai.hist_keys(d.workflow_id, d.node_id, d.node_type, d.provider, d.model, d.user_id) k
            CROSS JOIN LATERAL unnest(d.hist_idx, d.hist_n) AS h(i, c) GROUP BY 1, 2, 3, 4, 5, 6) x
    GROUP BY 1, 2, 3, 4, 5
  ), into_hours AS (
  INSERT INTO public.usage_hours AS u (
    org_id, hour, workflow_id, node_id, node_type, provider, model, user_id, calls, errors, prompt_tokens,
    completion_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, reasoning_tokens,
    audio_input_tokens, audio_output_tokens, image_input_tokens, cost_pusd, unpriced_calls, hist_idx, hist_n)
  SELECT
    s.org_id, s.hour, s.workflow_id, s.node_id, s.node_type, s.provider, s.model, s.user_id, s.calls, s.errors,
    s.prompt_tokens, s.completion_tokens, s.cache_read_tokens, s.cache_write_tokens, s.cache_write_1h_tokens,
    s.reasoning_tokens, s.audio_input_tokens, s.audio_output_tokens, s.image_input_tokens, s.cost_pusd,
    s.unpriced_calls, h.hist_idx, h.hist_n
  FROM hours_sums s JOIN hours_hists h USING (
    org_id, hour, workflow_id, node_id, node_type, provider, model, user_id)
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
  ), into_days AS (
  INSERT INTO public.usage_days AS u (
    org_id, day, workflow_id, node_id, node_type, provider, model, user_id, calls, errors, prompt_tokens,
    completion_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, reasoning_tokens,
    audio_input_tokens, audio_output_tokens, image_input_tokens, cost_pusd, unpriced_calls, hist_idx, hist_n)
  SELECT
    s.org_id, s.day, s.workflow_id, s.node_id, s.node_type, s.provider, s.model, s.user_id, s.calls, s.errors,
    s.prompt_tokens, s.completion_tokens, s.cache_read_tokens, s.cache_write_tokens, s.cache_write_1h_tokens,
    s.reasoning_tokens, s.audio_input_tokens, s.audio_output_tokens, s.image_input_tokens, s.cost_pusd,
    s.unpriced_calls, h.hist_idx, h.hist_n
  FROM days_sums s JOIN days_hists h USING (
    org_id, day, workflow_id, node_id, node_type, provider, model, user_id)
  ON CONFLICT (org_id, day, workflow_id, node_id, node_type, provider, model, user_id) DO UPDATE SET
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
  ), into_hists AS (
  INSERT INTO public.usage_day_hists AS u (org_id, day, dim, key, runs, hist_idx, hist_n)
  SELECT k.org_id, k.day, k.dim, k.key, k.runs, k.hist_idx, k.hist_n FROM keyed k
  ON CONFLICT (org_id, day, dim, key, runs) DO UPDATE SET
    (hist_idx, hist_n) = (SELECT a.idx, a.n FROM nodeai.hist_add(u.hist_idx, u.hist_n, excluded.hist_idx, excluded.hist_n) a)
  )
  SELECT coalesce(sum(s.deltas), 0) INTO n FROM hours_sums s;
  RETURN n;
END
$$;

-- The cells of a time, [from_us, to_us), whole hours, as coarse as they are: whole days as one row at their first hour, what is
-- left at both ends by the hour, and what is not folded yet. For whoever asks for days or more. Without `hists` the days come
-- without their histograms.
CREATE FUNCTION nodeai.usage_coarse(org uuid, from_us bigint, to_us bigint, hists boolean) RETURNS TABLE (
  hour timestamptz, workflow_id uuid, node_id text, node_type text, provider text, model text, user_id uuid,
  calls bigint, errors bigint, prompt_tokens bigint, completion_tokens bigint, cache_read_tokens bigint,
  cache_write_tokens bigint, cache_write_1h_tokens bigint, reasoning_tokens bigint, audio_input_tokens bigint,
  audio_output_tokens bigint, image_input_tokens bigint, cost_pusd numeric, unpriced_calls bigint,
  hist_idx integer[], hist_n bigint[])
LANGUAGE sql STABLE SECURITY INVOKER BEGIN ATOMIC
  SELECT
    u.day::timestamp AT TIME ZONE 'UTC', nullif(u.workflow_id, '00000000-0000-0000-0000-000000000000'),
    nullif(u.node_id, ''), nullif(u.node_type, ''), nullif(u.provider, ''), nullif(u.model, ''),
    nullif(u.user_id, '00000000-0000-0000-0000-000000000000'), u.calls, u.errors, u.prompt_tokens,
    u.completion_tokens, u.cache_read_tokens, u.cache_write_tokens, u.cache_write_1h_tokens, u.reasoning_tokens,
    u.audio_input_tokens, u.audio_output_tokens, u.image_input_tokens, u.cost_pusd, u.unpriced_calls,
    CASE WHEN hists THEN u.hist_idx END, CASE WHEN hists THEN u.hist_n END
  FROM public.usage_days u
  WHERE u.org_id = org AND u.day >= nodeai.day_of(from_us + 86399999999) AND u.day < nodeai.day_of(to_us)
  UNION ALL
  SELECT
    u.hour, nullif(u.workflow_id, '00000000-0000-0000-0000-000000000000'), nullif(u.node_id, ''),
    nullif(u.node_type, ''), nullif(u.provider, ''), nullif(u.model, ''),
    nullif(u.user_id, '00000000-0000-0000-0000-000000000000'), u.calls, u.errors, u.prompt_tokens,
    u.completion_tokens, u.cache_read_tokens, u.cache_write_tokens, u.cache_write_1h_tokens, u.reasoning_tokens,
    u.audio_input_tokens, u.audio_output_tokens, u.image_input_tokens, u.cost_pusd, u.unpriced_calls, u.hist_idx,
    u.hist_n
  FROM public.usage_hours u
  WHERE u.org_id = org AND u.hour >= nodeai.from_us(from_us)
    AND u.hour < least(nodeai.day_of(from_us + 86399999999)::timestamp AT TIME ZONE 'UTC', nodeai.from_us(to_us))
  UNION ALL
  SELECT
    u.hour, nullif(u.workflow_id, '00000000-0000-0000-0000-000000000000'), nullif(u.node_id, ''),
    nullif(u.node_type, ''), nullif(u.provider, ''), nullif(u.model, ''),
    nullif(u.user_id, '00000000-0000-0000-0000-000000000000'), u.calls, u.errors, u.prompt_tokens,
    u.completion_tokens, u.cache_read_tokens, u.cache_write_tokens, u.cache_write_1h_tokens, u.reasoning_tokens,
    u.audio_input_tokens, u.audio_output_tokens, u.image_input_tokens, u.cost_pusd, u.unpriced_calls, u.hist_idx,
    u.hist_n
  FROM public.usage_hours u
  WHERE u.org_id = org AND u.hour < nodeai.from_us(to_us)
    AND u.hour >= greatest(nodeai.day_of(to_us), nodeai.day_of(from_us + 86399999999))::timestamp AT TIME ZONE 'UTC'
  UNION ALL
  SELECT
    u.hour, nullif(u.workflow_id, '00000000-0000-0000-0000-000000000000'), nullif(u.node_id, ''),
    nullif(u.node_type, ''), nullif(u.provider, ''), nullif(u.model, ''),
    nullif(u.user_id, '00000000-0000-0000-0000-000000000000'), u.calls, u.errors, u.prompt_tokens,
    u.completion_tokens, u.cache_read_tokens, u.cache_write_tokens, u.cache_write_1h_tokens, u.reasoning_tokens,
    u.audio_input_tokens, u.audio_output_tokens, u.image_input_tokens, u.cost_pusd, u.unpriced_calls, u.hist_idx,
    u.hist_n
  FROM public.usage_deltas u
  WHERE u.org_id = org AND u.hour >= nodeai.from_us(from_us) AND u.hour < nodeai.from_us(to_us);
END;
SELECT nodeai.expose('nodeai.usage_coarse(uuid, bigint, bigint, boolean)', '{authenticated,service_role}');

-- As before: {"org_id","from_us","to_us" (whole hours, unless by session),"step": "hour|day|total","of": "calls|runs","by": [of
-- "workflow","node","node_type","provider","model","user","session"],"filter"?: {the same names},"limit","quantiles"?: whether
-- p50_us, p95_us and p99_us are wanted (they are unless false)} → rows, by time, then most calls first; one row more than
-- `limit` says that there are more. Times without calls have no row. Days and totals are read from the sums by the day.
CREATE OR REPLACE FUNCTION public.metrics_query(p jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY INVOKER SET search_path = '' SET jit = off AS $$
DECLARE
  org uuid := coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  since bigint := (p ->> 'from_us')::bigint;
  until bigint := (p ->> 'to_us')::bigint;
  step text := p ->> 'step';
  dims jsonb := coalesce(nullif(p -> 'by', 'null'), '[]');
  f jsonb := coalesce(nullif(p -> 'filter', 'null'), '{}');
  of_runs boolean := p ->> 'of' = 'runs';
  quantiles boolean := coalesce((p ->> 'quantiles')::boolean, true);
  in_sessions boolean := dims ? 'session' OR f ->> 'session' IS NOT NULL;
  by_hour boolean := step = 'hour' AND NOT in_sessions;
  by_day boolean := step <> 'hour' AND NOT in_sessions;
  -- Whether the histograms of whole days are there as they are wanted.
  ready boolean := by_day AND quantiles AND jsonb_array_length(dims) <= 1 AND jsonb_strip_nulls(f) = '{}';
  answer jsonb;
BEGIN
  WITH cell AS (
    SELECT c.hour, NULL::text AS session_id, c.workflow_id, c.node_id, c.node_type, c.provider, c.model, c.user_id, c.calls,
      c.errors, c.prompt_tokens, c.completion_tokens, c.cache_read_tokens, c.reasoning_tokens, c.cost_pusd,
      c.unpriced_calls, CASE WHEN quantiles THEN c.hist_idx END AS hist_idx, CASE WHEN quantiles THEN c.hist_n END AS hist_n
    FROM nodeai.usage_cells(org, since, until) c WHERE by_hour
    UNION ALL
    SELECT c.hour, NULL::text, c.workflow_id, c.node_id, c.node_type, c.provider, c.model, c.user_id, c.calls,
      c.errors, c.prompt_tokens, c.completion_tokens, c.cache_read_tokens, c.reasoning_tokens, c.cost_pusd,
      c.unpriced_calls, CASE WHEN quantiles THEN c.hist_idx END, CASE WHEN quantiles THEN c.hist_n END
    FROM nodeai.usage_coarse(org, since, until, quantiles AND NOT ready) c WHERE by_day
    UNION ALL
    SELECT x.hour, x.session_id, x.workflow_id, x.node_id, x.node_type, x.provider, x.model, x.user_id, x.calls, x.errors,
      x.prompt_tokens, x.completion_tokens, x.cache_read_tokens, x.reasoning_tokens, x.cost_pusd, x.unpriced_calls,
      CASE WHEN quantiles THEN x.hist_idx END, CASE WHEN quantiles THEN x.hist_n END
    FROM nodeai.session_cells(org, since, until) x WHERE in_sessions
  ), kept AS MATERIALIZED (
    SELECT CASE step WHEN 'total' THEN since ELSE nodeai.to_us(date_trunc(step, c.hour, 'UTC')) END AS at_us,
      CASE WHEN dims ? 'workflow' THEN coalesce(c.workflow_id::text, '') END AS d_workflow,
      CASE WHEN dims ? 'node' THEN coalesce(c.node_id, '') END AS d_node,
      CASE WHEN dims ? 'node_type' THEN coalesce(c.node_type, '') END AS d_node_type,
      CASE WHEN dims ? 'provider' THEN coalesce(c.provider, '') END AS d_provider,
      CASE WHEN dims ? 'model' THEN coalesce(c.model, '') END AS d_model,
      CASE WHEN dims ? 'user' THEN coalesce(c.user_id::text, '') END AS d_user,
      CASE WHEN dims ? 'session' THEN coalesce(c.session_id, '') END AS d_session, c.*
    FROM cell c
    WHERE (c.node_type IS NULL) = of_runs
      AND (f ->> 'workflow' IS NULL OR c.workflow_id = (f ->> 'workflow')::uuid)
      AND (f ->> 'node' IS NULL OR c.node_id = f ->> 'node')
      AND (f ->> 'node_type' IS NULL OR c.node_type = f ->> 'node_type')
      AND (f ->> 'provider' IS NULL OR c.provider = f ->> 'provider')
      AND (f ->> 'model' IS NULL OR c.model = f ->> 'model')
      AND (f ->> 'user' IS NULL OR c.user_id = (f ->> 'user')::uuid)
      AND (f ->> 'session' IS NULL OR c.session_id = f ->> 'session')
  ), placed AS MATERIALIZED (
    -- A small number for each row of the answer: histograms have thousands of buckets to be grouped by it.
    SELECT dense_rank() OVER (ORDER BY k.at_us, k.d_workflow, k.d_node, k.d_node_type, k.d_provider, k.d_model, k.d_user,
      k.d_session) AS g, k.* FROM kept k
  ), hist AS (
    SELECT h.g, array_agg(h.i ORDER BY h.i) AS idx, array_agg(h.n ORDER BY h.i) AS n FROM (
      SELECT x.g, x.i, sum(x.n)::bigint AS n FROM (
        SELECT k.g, b.i, b.n FROM placed k CROSS JOIN LATERAL unnest(k.hist_idx, k.hist_n) AS b(i, n) WHERE quantiles
        UNION ALL
        SELECT w.g, b.i, b.n
        FROM public.usage_day_hists d
        JOIN (SELECT DISTINCT k.g, k.at_us, coalesce(k.d_workflow, k.d_node, k.d_node_type, k.d_provider, k.d_model, k.d_user, '')
                AS key FROM placed k) w
          ON w.key = d.key AND w.at_us = CASE step WHEN 'total' THEN since ELSE nodeai.to_us(d.day::timestamp AT TIME ZONE 'UTC') END
        CROSS JOIN LATERAL unnest(d.hist_idx, d.hist_n) AS b(i, n)
        WHERE ready AND d.org_id = org AND d.dim = coalesce(dims ->> 0, '') AND d.runs = of_runs
          AND d.day >= nodeai.day_of(since + 86399999999) AND d.day < nodeai.day_of(until)) x
      GROUP BY 1, 2) h
    GROUP BY 1
  ), summed AS (
    SELECT k.g, min(k.at_us) AS at_us, jsonb_strip_nulls(jsonb_build_object('workflow', min(k.d_workflow), 'node', min(k.d_node),
        'node_type', min(k.d_node_type), 'provider', min(k.d_provider), 'model', min(k.d_model), 'user', min(k.d_user),
        'session', min(k.d_session))) AS key,
      sum(k.calls)::bigint AS calls, sum(k.errors)::bigint AS errors,
      sum(k.prompt_tokens)::bigint AS prompt_tokens, sum(k.completion_tokens)::bigint AS completion_tokens,
      sum(k.cache_read_tokens)::bigint AS cache_read_tokens, sum(k.reasoning_tokens)::bigint AS reasoning_tokens,
      sum(k.cost_pusd)::text AS cost_pusd, sum(k.unpriced_calls)::bigint AS unpriced_calls
    FROM placed k GROUP BY 1
  ), paged AS (
    SELECT s.* FROM summed s ORDER BY s.at_us, s.calls DESC, s.key LIMIT (p ->> 'limit')::integer + 1
  ), whole AS (
    SELECT s.at_us, s.key, s.calls, s.errors, s.prompt_tokens, s.completion_tokens, s.cache_read_tokens, s.reasoning_tokens,
      s.cost_pusd, s.unpriced_calls, nodeai.hist_quantile(h.idx, h.n, 0.5) AS p50_us,
      nodeai.hist_quantile(h.idx, h.n, 0.95) AS p95_us, nodeai.hist_quantile(h.idx, h.n, 0.99) AS p99_us
    FROM paged s LEFT JOIN hist h ON h.g = s.g
  )
  SELECT jsonb_agg(to_jsonb(w) ORDER BY w.at_us, w.calls DESC, w.key) INTO answer FROM whole w;
  RETURN coalesce(answer, '[]');
END
$$;

-- One trace ------------------------------------------------------------------------------------------------------------

-- As nodeai.span_json, written as text in one go: putting ten thousand together as jsonb costs three times as much.
CREATE FUNCTION nodeai.span_text(s public.spans, attributes jsonb, events jsonb) RETURNS text LANGUAGE sql STABLE
  RETURN left(json_build_object(
    'trace_id', s.trace_id, 'span_id', s.span_id, 'parent_span_id', s.parent_span_id, 'name', s.name, 'kind', s.kind,
    'node_id', s.node_id, 'node_type', s.node_type, 'attempt', s.attempt, 'status', s.status,
    'status_message', s.status_message, 'start_us', nodeai.to_us(s.started_at),
    'end_us', nodeai.to_us(s.started_at) + s.duration_us, 'duration_us', s.duration_us, 'provider', s.provider,
    'model', s.model, 'prompt_tokens', s.prompt_tokens, 'completion_tokens', s.completion_tokens,
    'cost_pusd', s.cost_pusd, 'attributes', attributes, 'events', events, 'links', s.links)::text, -1)
  || CASE WHEN num_nonnulls(s.cache_read_tokens, s.cache_write_tokens, s.cache_write_1h_tokens, s.reasoning_tokens,
      s.audio_input_tokens, s.audio_output_tokens, s.image_input_tokens, s.service_tier, s.price_version, s.session_id, s.tags,
      s.priced, s.end_user, s.measure) = 0 THEN '}'
    ELSE ', ' || substr(json_strip_nulls(json_build_object(
      'cache_read_tokens', s.cache_read_tokens, 'cache_write_tokens', s.cache_write_tokens,
      'cache_write_1h_tokens', s.cache_write_1h_tokens, 'reasoning_tokens', s.reasoning_tokens,
      'audio_input_tokens', s.audio_input_tokens, 'audio_output_tokens', s.audio_output_tokens,
      'image_input_tokens', s.image_input_tokens, 'service_tier', s.service_tier, 'price_version', s.price_version,
      'session_id', s.session_id, 'tags', s.tags, 'priced', s.priced, 'end_user', s.end_user, 'measure', s.measure))::text, 2) END;
SELECT nodeai.expose('nodeai.span_text(public.spans, jsonb, jsonb)', '{authenticated,service_role}');

-- As before, as json instead of jsonb.
DROP FUNCTION public.trace_tree(jsonb);
CREATE FUNCTION public.trace_tree(p jsonb) RETURNS json
LANGUAGE plpgsql STABLE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  org uuid := coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  wanted text := p ->> 'trace_id';
  days date[];
  trace jsonb;
  spans text;
BEGIN
  SELECT array_agg(d.day) INTO days FROM public.trace_days d WHERE d.trace_id = wanted AND d.org_id = org;
  IF days IS NULL THEN
    RETURN NULL;
  END IF;
  SELECT nodeai.trace_json(t) INTO trace FROM public.traces t
    WHERE t.day = ANY (days) AND t.org_id = org AND t.trace_id = wanted
    ORDER BY (t.kind = 'run') DESC, t.started_at LIMIT 1;
  WITH big AS MATERIALIZED (
    SELECT x.day, x.span_id, x.attributes, x.events FROM public.span_payloads x
    WHERE x.day = ANY (days) AND x.org_id = org AND x.trace_id = wanted
  )
  SELECT string_agg(CASE WHEN b.span_id IS NULL THEN nodeai.span_text(s, s.attributes, s.events)
    ELSE nodeai.span_text(s, s.attributes || b.attributes, coalesce(b.events, s.events)) END,
    ', ' ORDER BY s.started_at, s.span_id) INTO spans
  FROM public.spans s LEFT JOIN big b ON b.day = s.day AND b.span_id = s.span_id
  WHERE s.day = ANY (days) AND s.org_id = org AND s.trace_id = wanted;
  RETURN concat('{"trace": ', coalesce(trace::text, 'null'), ', "spans": [', spans, ']}')::json;
END
$$;
SELECT nodeai.expose('public.trace_tree(jsonb)', '{authenticated,service_role}');

-- Housekeeping of before, and sums by the day as long as those by the hour.
CREATE FUNCTION nodeai.prune_usage_days() RETURNS void
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
  DELETE FROM public.usage_days u WHERE u.day < (now() AT TIME ZONE 'UTC')::date - 800;
  DELETE FROM public.usage_day_hists u WHERE u.day < (now() AT TIME ZONE 'UTC')::date - 800
$$;
SELECT nodeai.expose('nodeai.prune_usage_days()', '{}');
ALTER FUNCTION nodeai.housekeeping(jsonb) RENAME TO keep_house_by_the_hour;
SELECT nodeai.expose('nodeai.keep_house_by_the_hour(jsonb)', '{}');
CREATE FUNCTION nodeai.housekeeping(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
BEGIN
  PERFORM nodeai.prune_usage_days();
  RETURN nodeai.keep_house_by_the_hour(p);
END
$$;
SELECT nodeai.expose('nodeai.housekeeping(jsonb)', '{service_role}');
