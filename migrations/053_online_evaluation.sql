-- Evaluation of what production answers. A rule takes a share of the traces of a workflow or a deployment; whoever drains makes each
-- batch of them an evaluation of answers that are there already, and what that comes to is a score of the trace.

-- What a span says --------------------------------------------------------------------------------------------------------

-- All attributes of a span, those that were too big for the hot table included.
CREATE FUNCTION nodeai.span_whole(s public.spans) RETURNS jsonb
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = '' AS $$
  SELECT s.attributes || coalesce((SELECT x.attributes FROM public.span_payloads x
    WHERE x.day = s.day AND x.org_id = s.org_id AND x.trace_id = s.trace_id AND x.span_id = s.span_id), '{}')
$$;
SELECT nodeai.expose('nodeai.span_whole(public.spans)', '{authenticated,service_role}');

-- The attributes of a trace's first span that says what went in.
CREATE FUNCTION nodeai.trace_said(org uuid, on_day date, trace text) RETURNS jsonb
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = '' AS $$
  SELECT w.whole FROM public.spans x CROSS JOIN LATERAL (SELECT nodeai.span_whole(x) AS whole) w
  WHERE x.day = on_day AND x.org_id = org AND x.trace_id = trace AND w.whole ?| '{nodeai.input,input.value}'
  ORDER BY x.started_at, x.span_id LIMIT 1
$$;
SELECT nodeai.expose('nodeai.trace_said(uuid, date, text)', '{authenticated,service_role}');

-- As before, and what was too big for the hot table is read, too.
CREATE OR REPLACE FUNCTION nodeai.do_eval_from_traces(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  args jsonb := p -> 'args';
  dataset uuid := (args ->> 'dataset_id')::uuid;
  wanted text[] := ARRAY(SELECT jsonb_array_elements_text(coalesce(nullif(args -> 'trace_ids', 'null'), '[]')));
  scored jsonb := nullif(args -> 'score', 'null');
  at_question text[] := ARRAY(SELECT jsonb_array_elements_text(args -> 'question'));
  at_expected text[] := CASE WHEN jsonb_typeof(args -> 'expected') = 'array'
    THEN ARRAY(SELECT jsonb_array_elements_text(args -> 'expected')) END;
  next integer := nodeai.change_row('eval_datasets', 'update', dataset, org, '{}', NULL);
  added integer;
BEGIN
  IF (SELECT count(*) FROM public.eval_items i WHERE i.dataset_id = dataset) + (args ->> 'limit')::integer > 50000 THEN
    RAISE EXCEPTION 'a dataset has at most 50000 items' USING ERRCODE = 'NA409';
  END IF;
  WITH chosen AS (
    SELECT t.trace_id, t.day, t.started_at FROM public.traces t
    WHERE t.org_id = org AND (cardinality(wanted) = 0 OR t.trace_id = ANY (wanted))
      AND (args ->> 'workflow_id' IS NULL OR t.workflow_id = (args ->> 'workflow_id')::uuid)
      AND (args ->> 'from_us' IS NULL OR t.started_at >= nodeai.from_us((args ->> 'from_us')::bigint))
      AND (args ->> 'to_us' IS NULL OR t.started_at < nodeai.from_us((args ->> 'to_us')::bigint))
      AND (cardinality(wanted) > 0 OR t.kind <> 'request')
      AND NOT EXISTS (SELECT FROM public.eval_items i WHERE i.dataset_id = dataset AND i.source_trace_id = t.trace_id)
      AND (scored IS NULL OR EXISTS (SELECT FROM public.trace_scores s
        WHERE s.org_id = org AND s.trace_id = t.trace_id AND s.name = scored ->> 'name'
          AND s.score >= coalesce((scored ->> 'min')::double precision, '-infinity')
          AND s.score <= coalesce((scored ->> 'max')::double precision, 'infinity')))
    ORDER BY t.started_at DESC LIMIT (args ->> 'limit')::integer
  ), read AS (
    SELECT c.trace_id, c.started_at,
      nodeai.span_content(s.said, '{nodeai.input,input.value}', at_question) AS question,
      CASE WHEN at_expected IS NOT NULL THEN
        nodeai.span_content(s.said, '{nodeai.output,output.value}', at_expected) END AS expected
    FROM chosen c CROSS JOIN LATERAL (SELECT nodeai.trace_said(org, c.day, c.trace_id) AS said) s
  ), made AS (
    INSERT INTO public.eval_items (id, org_id, dataset_id, dataset_version, question, expected, source_trace_id, created_by)
      SELECT nodeai.uuid_v7(), org, dataset, next, r.question, nullif(r.expected, 'null'), r.trace_id, auth.uid()
      FROM read r
      WHERE jsonb_typeof(r.question) = 'string' AND btrim(r.question #>> '{}') <> ''
        OR jsonb_typeof(r.question) = 'object' AND r.question <> '{}'
      ORDER BY r.started_at
    RETURNING 1
  )
  SELECT count(*) INTO added FROM made;
  IF added = 0 THEN
    RAISE EXCEPTION 'no trace that fits has a question at this place, or all of them are in the dataset'
      USING ERRCODE = 'NA409';
  END IF;
  RETURN jsonb_build_object('version', next, 'body', jsonb_build_object('added', added),
    'changes', jsonb_build_object('after', jsonb_build_object('added', added)));
END
$$;

-- As before, and prompts and answers that were too big for the hot table are read, too.
CREATE OR REPLACE FUNCTION public.finetune_calls(p jsonb) RETURNS jsonb
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = '' AS $$
  SELECT coalesce(jsonb_agg(x.attributes), '[]') FROM (
    SELECT nodeai.span_whole(s) AS attributes FROM public.spans s
    WHERE s.org_id = coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid
      AND s.model IS NOT NULL AND s.status <> 'error'
      AND (p ->> 'model' IS NULL OR s.model = p ->> 'model')
      AND (p ->> 'workflow_id' IS NULL OR s.workflow_id = (p ->> 'workflow_id')::uuid)
      AND (p ->> 'from_us' IS NULL
        OR s.started_at >= nodeai.from_us((p ->> 'from_us')::bigint) AND s.day >= nodeai.day_of((p ->> 'from_us')::bigint))
      AND (p ->> 'to_us' IS NULL
        OR s.started_at < nodeai.from_us((p ->> 'to_us')::bigint) AND s.day <= nodeai.day_of((p ->> 'to_us')::bigint))
      AND (p -> 'score' IS NULL OR p -> 'score' = 'null' OR EXISTS (SELECT FROM public.trace_scores c
        WHERE c.org_id = s.org_id AND c.trace_id = s.trace_id AND coalesce(c.span_id, s.span_id) = s.span_id
          AND c.name = p #>> '{score,name}'
          AND c.score >= coalesce((p #>> '{score,min}')::double precision, '-infinity')
          AND c.score <= coalesce((p #>> '{score,max}')::double precision, 'infinity')))
    ORDER BY s.started_at DESC LIMIT (p ->> 'limit')::integer) x
$$;

-- Rules -------------------------------------------------------------------------------------------------------------------

CREATE TABLE public.eval_rules (
  id uuid PRIMARY KEY,
  org_id uuid NOT NULL CONSTRAINT eval_rules_org REFERENCES public.organizations (id) ON DELETE CASCADE,
  name text NOT NULL CONSTRAINT eval_rules_name_length CHECK (char_length(name) BETWEEN 1 AND 200),
  paused boolean NOT NULL DEFAULT false,
  -- Whose traces: those of one workflow, or of one deployment. What judges run is neither.
  workflow_id uuid,
  deployment_id uuid,
  -- {"status"?: "ok|error","tags"?: [text]}
  filter jsonb NOT NULL DEFAULT '{}' CONSTRAINT eval_rules_filter_object CHECK (jsonb_typeof(filter) = 'object'),
  sample_rate double precision NOT NULL CONSTRAINT eval_rules_rate CHECK (sample_rate > 0 AND sample_rate <= 1),
  metrics text[] NOT NULL CONSTRAINT eval_rules_metrics_few CHECK (cardinality(metrics) BETWEEN 1 AND 50),
  settings jsonb NOT NULL,
  judge jsonb,
  -- Of a UTC day.
  budget_pusd bigint CONSTRAINT eval_rules_budget CHECK (budget_pusd > 0),
  every_s integer NOT NULL DEFAULT 60 CONSTRAINT eval_rules_every CHECK (every_s BETWEEN 1 AND 86400),
  -- Where sampled questions are kept.
  dataset_id uuid NOT NULL CONSTRAINT eval_rules_dataset REFERENCES public.eval_datasets (id) ON DELETE CASCADE,
  sampled bigint NOT NULL DEFAULT 0,
  skipped bigint NOT NULL DEFAULT 0,
  error jsonb,
  -- Traces that began before are not looked at; those up to here were, but for late ones.
  since timestamptz NOT NULL DEFAULT now(),
  looked_at timestamptz,
  owner_id uuid,
  owner_key_id uuid,
  lease_until timestamptz,
  lease_token bigint NOT NULL DEFAULT 0,
  next_at timestamptz NOT NULL DEFAULT now(),
  version integer NOT NULL DEFAULT 1,
  created_by uuid,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT eval_rules_name_unique UNIQUE (org_id, name),
  CONSTRAINT eval_rules_one_source CHECK ((workflow_id IS NULL) <> (deployment_id IS NULL))
);
CREATE INDEX eval_rules_dataset_idx ON public.eval_rules (dataset_id);
CREATE INDEX eval_rules_due_idx ON public.eval_rules (next_at, id) WHERE NOT paused;
SELECT nodeai.tenant_table('public.eval_rules');
SELECT nodeai.belongs_to('public.eval_rules', 'eval_datasets', 'dataset_id');
SELECT nodeai.allow_write('eval_rules',
  '{name,paused,workflow_id,deployment_id,filter,sample_rate,metrics,settings,judge,budget_pusd,every_s,dataset_id}',
  '{name,paused,filter,sample_rate,metrics,settings,judge,budget_pusd,every_s}');

-- Traces that a rule has looked into; each comes into a batch once. `reason` says why one did not.
CREATE TABLE public.eval_rule_traces (
  org_id uuid NOT NULL,
  rule_id uuid NOT NULL CONSTRAINT eval_rule_traces_rule REFERENCES public.eval_rules (id) ON DELETE CASCADE,
  trace_id text NOT NULL,
  reason text CONSTRAINT eval_rule_traces_reason_length CHECK (char_length(reason) <= 1000),
  at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (rule_id, trace_id)
);
CREATE INDEX eval_rule_traces_org_idx ON public.eval_rule_traces (org_id);
CREATE INDEX eval_rule_traces_at_idx ON public.eval_rule_traces (rule_id, at);
SELECT nodeai.tenant_table('public.eval_rule_traces');
SELECT nodeai.belongs_to('public.eval_rule_traces', 'eval_rules', 'rule_id');

ALTER TABLE public.evaluations
  ADD COLUMN rule_id uuid CONSTRAINT evaluations_rule REFERENCES public.eval_rules (id) ON DELETE SET NULL;
CREATE INDEX evaluations_rule_idx ON public.evaluations (rule_id, created_at) WHERE rule_id IS NOT NULL;

-- As before, and whoever says who judges is who judges run as.
CREATE OR REPLACE FUNCTION nodeai.own_trigger() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  now_row jsonb := to_jsonb(NEW);
  was jsonb := CASE TG_OP WHEN 'UPDATE' THEN to_jsonb(OLD) ELSE '{}' END;
  names jsonb := '["workflow_id","workflow_version","deployment_id","verification","inputs","judge"]';
  -- Whoever turns it on again takes it over: that is how one goes on whose owner has left.
  turned_on boolean := was ->> 'disabled_at' IS NOT NULL AND now_row ->> 'disabled_at' IS NULL
    OR coalesce((was ->> 'paused')::boolean AND NOT (now_row ->> 'paused')::boolean, false);
BEGIN
  IF auth.uid() IS NULL OR NOT turned_on AND nodeai.some_of(now_row, names) = nodeai.some_of(was, names) THEN
    RETURN NEW;
  END IF;
  NEW.owner_id := auth.uid();
  NEW.owner_key_id := nullif(nodeai.claims() ->> 'key_id', '')::uuid;
  IF nodeai.claims_of_owner(NEW.org_id, NEW.owner_id, NEW.owner_key_id) IS NULL THEN
    RAISE EXCEPTION 'may not run workflows' USING ERRCODE = 'insufficient_privilege';
  END IF;
  RETURN NEW;
END
$$;
CREATE TRIGGER own_rule BEFORE INSERT OR UPDATE ON public.eval_rules FOR EACH ROW EXECUTE FUNCTION nodeai.own_trigger();

-- What came while a rule was paused is not looked at afterwards.
CREATE FUNCTION nodeai.resume_rule() RETURNS trigger
LANGUAGE plpgsql SET search_path = '' AS $$
BEGIN
  NEW.since := clock_timestamp();
  NEW.next_at := clock_timestamp();
  NEW.error := NULL;
  RETURN NEW;
END
$$;
SELECT nodeai.expose('nodeai.resume_rule()', '{}');
CREATE TRIGGER resume_rule BEFORE UPDATE OF paused ON public.eval_rules
  FOR EACH ROW WHEN (OLD.paused AND NOT NEW.paused) EXECUTE FUNCTION nodeai.resume_rule();

-- What the API shows of a rule.
CREATE FUNCTION nodeai.rule_shown(r public.eval_rules) RETURNS jsonb LANGUAGE sql STABLE
  RETURN to_jsonb(r) - ARRAY['org_id', 'created_by', 'lease_until', 'lease_token', 'next_at', 'looked_at', 'budget_pusd', 'since']
    || jsonb_build_object('budget_usd_micros', round(r.budget_pusd / 1000000.0)::bigint);
SELECT nodeai.expose('nodeai.rule_shown(public.eval_rules)', '{authenticated,service_role}');

-- {"id","dataset_id","row"}: with a dataset of its own, which has its name.
CREATE FUNCTION nodeai.do_rule_create(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  args jsonb := p -> 'args';
  given jsonb := args -> 'row' || jsonb_build_object('dataset_id', args -> 'dataset_id');
  r public.eval_rules;
BEGIN
  PERFORM nodeai.require_target(org, (given ->> 'workflow_id')::uuid, NULL, (given ->> 'deployment_id')::uuid);
  IF (SELECT count(*) FROM public.eval_rules x WHERE x.org_id = org) >= 10 THEN
    RAISE EXCEPTION 'an organisation has at most 10 rules' USING ERRCODE = 'NA409';
  END IF;
  PERFORM nodeai.insert_row('eval_datasets', (args ->> 'dataset_id')::uuid, org, jsonb_build_object('name', given -> 'name',
    'description', 'Questions of sampled traces'));
  PERFORM nodeai.insert_row('eval_rules', (args ->> 'id')::uuid, org, given);
  SELECT * INTO r FROM public.eval_rules x WHERE x.id = (args ->> 'id')::uuid AND x.org_id = org;
  RETURN jsonb_build_object('version', 1, 'body', nodeai.rule_shown(r),
    'changes', jsonb_build_object('after', nodeai.audit_view(given)));
END
$$;
SELECT nodeai.expose('nodeai.do_rule_create(uuid, jsonb)', '{authenticated,service_role}');

-- {"id","row","expect_version"?}
CREATE FUNCTION nodeai.do_rule_update(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  args jsonb := p -> 'args';
  rule uuid := (args ->> 'id')::uuid;
  before public.eval_rules;
  r public.eval_rules;
BEGIN
  SELECT * INTO before FROM public.eval_rules x WHERE x.id = rule AND x.org_id = org;
  PERFORM nodeai.change_row('eval_rules', 'update', rule, org, args -> 'row', (args ->> 'expect_version')::integer);
  SELECT * INTO r FROM public.eval_rules x WHERE x.id = rule AND x.org_id = org;
  RETURN jsonb_build_object('version', r.version, 'body', nodeai.rule_shown(r), 'changes', jsonb_build_object(
    'before', nodeai.some_of(to_jsonb(before), (SELECT jsonb_agg(k) FROM jsonb_object_keys(args -> 'row') k)),
    'after', args -> 'row'));
END
$$;
SELECT nodeai.expose('nodeai.do_rule_update(uuid, jsonb)', '{authenticated,service_role}');

-- Sampling ----------------------------------------------------------------------------------------------------------------

-- Whether a trace is in the share of a rule: always the same answer, whoever asks how often.
CREATE FUNCTION nodeai.is_sampled(rule uuid, trace text, rate double precision) RETURNS boolean LANGUAGE sql IMMUTABLE
  RETURN ('x' || substr(md5(rule::text || trace), 1, 8))::bit(32)::bigint < rate * 4294967296;
SELECT nodeai.expose('nodeai.is_sampled(uuid, text, double precision)', '{service_role}');

-- What a rule's judges have cost on this UTC day.
CREATE FUNCTION nodeai.rule_spent(r public.eval_rules) RETURNS bigint
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = '' AS $$
  SELECT coalesce(sum(e.cost_pusd), 0)::bigint FROM public.evaluations e
  WHERE e.rule_id = r.id AND e.org_id = r.org_id AND e.created_at >= date_trunc('day', clock_timestamp(), 'UTC')
$$;
SELECT nodeai.expose('nodeai.rule_spent(public.eval_rules)', '{service_role}');

-- Traces of a rule's share that it has not looked into, the oldest first. What evaluations and experiments run is not production.
-- A trace whose root is still to come waits; one that comes more than six hours after it began is not found.
CREATE FUNCTION nodeai.rule_traces(r public.eval_rules, most integer) RETURNS SETOF public.traces
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = '' AS $$
  SELECT t.* FROM public.traces t LEFT JOIN public.execution_queue q ON q.id = t.execution_id AND q.org_id = t.org_id
  WHERE t.org_id = r.org_id AND t.kind <> 'request' AND t.rooted
    AND t.started_at >= greatest(r.since, r.looked_at - interval '6 hours')
    AND t.day >= (greatest(r.since, r.looked_at - interval '6 hours') AT TIME ZONE 'UTC')::date
    AND (r.workflow_id IS NULL OR t.workflow_id = r.workflow_id)
    AND (r.deployment_id IS NULL OR q.deployment_id = r.deployment_id)
    AND (q.concurrency_key IS NULL OR q.concurrency_key !~ '^(evaluation|experiment|synthesis)/')
    AND (r.filter ->> 'status' IS NULL OR t.status = r.filter ->> 'status')
    AND (coalesce(r.filter -> 'tags', '[]') = '[]' OR t.tags @> ARRAY(SELECT jsonb_array_elements_text(r.filter -> 'tags')))
    AND nodeai.is_sampled(r.id, t.trace_id, r.sample_rate)
    AND NOT EXISTS (SELECT FROM public.eval_rule_traces s WHERE s.rule_id = r.id AND s.trace_id = t.trace_id)
  ORDER BY t.started_at, t.trace_id LIMIT most
$$;
SELECT nodeai.expose('nodeai.rule_traces(public.eval_rules, integer)', '{service_role}');

-- Takes up one rule: {"org_id"?,"lease_us","tasks": most traces} → {"rule": {"id","org_id","lease_token","settings"},"traces":
-- [{"trace_id","input","output","found": what its retrievals gave}]} or {"due_us"?}. A rule has one batch at work.
CREATE FUNCTION public.eval_rules_claim(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  org uuid := nullif(p ->> 'org_id', '')::uuid;
  at timestamptz := clock_timestamp();
  r public.eval_rules;
  traces jsonb := '[]';
BEGIN
  SELECT * INTO r FROM public.eval_rules x
    WHERE NOT x.paused AND x.next_at <= at AND (x.lease_until IS NULL OR x.lease_until < at) AND (org IS NULL OR x.org_id = org)
      AND NOT EXISTS (SELECT FROM public.evaluations e WHERE e.rule_id = x.id AND e.status IN ('queued', 'running'))
    ORDER BY x.next_at LIMIT 1 FOR UPDATE SKIP LOCKED;
  IF r.id IS NULL THEN
    RETURN jsonb_build_object('due_us', CASE WHEN org IS NULL THEN nodeai.to_us((
      SELECT min(x.next_at) FROM public.eval_rules x WHERE NOT x.paused)) END);
  END IF;
  UPDATE public.eval_rules x SET lease_token = x.lease_token + 1,
      lease_until = at + (p ->> 'lease_us')::bigint * interval '1 microsecond'
    WHERE x.id = r.id RETURNING * INTO r;
  IF r.budget_pusd IS NULL OR nodeai.rule_spent(r) < r.budget_pusd THEN
    SELECT coalesce(jsonb_agg(jsonb_build_object('trace_id', t.trace_id, 'at_us', nodeai.to_us(t.started_at),
        'input', coalesce(s.said -> 'nodeai.input', s.said -> 'input.value'),
        'output', coalesce(s.said -> 'nodeai.output', s.said -> 'output.value'),
        'found', (SELECT coalesce(jsonb_agg(coalesce(w.whole -> 'gen_ai.retrieval.documents', w.whole #> '{nodeai.output,results}')
            ORDER BY x.started_at, x.span_id), '[]')
          FROM public.spans x CROSS JOIN LATERAL (SELECT nodeai.span_whole(x) AS whole) w
          WHERE x.day = t.day AND x.org_id = t.org_id AND x.trace_id = t.trace_id AND x.status <> 'error'
            AND (x.node_type = 'retrieve' OR w.whole ? 'gen_ai.retrieval.documents'))) ORDER BY t.started_at, t.trace_id), '[]')
      INTO traces
      FROM nodeai.rule_traces(r, (p ->> 'tasks')::integer) t
      CROSS JOIN LATERAL (SELECT nodeai.trace_said(t.org_id, t.day, t.trace_id) AS said) s;
  END IF;
  RETURN jsonb_build_object('rule', jsonb_build_object('id', r.id, 'org_id', r.org_id, 'lease_token', r.lease_token,
    'settings', r.settings, 'looked_us', nodeai.to_us(at)), 'traces', traces);
END
$$;
SELECT nodeai.expose('public.eval_rules_claim(jsonb)', '{service_role}');

-- Makes a batch an evaluation: {"id","lease_token","looked_us","whole": whether there is nothing more,"items": [{"trace_id","at_us",
-- "question","answered": {"answer","contexts","retrieved"}}],"skipped": [{"trace_id","reason"}]} → {"outcome":"stepped|fenced|ended",
-- "evaluation_id"?}.
CREATE FUNCTION public.eval_rule_step(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  moment timestamptz := clock_timestamp();
  r public.eval_rules;
  spent bigint;
  taken text[];
  next integer;
  made uuid;
BEGIN
  SELECT * INTO r FROM public.eval_rules x
    WHERE x.id = (p ->> 'id')::uuid AND NOT x.paused AND x.lease_token = (p ->> 'lease_token')::bigint FOR UPDATE;
  IF r.id IS NULL THEN
    RETURN '{"outcome":"fenced"}';
  END IF;
  IF nodeai.claims_of_owner(r.org_id, r.owner_id, r.owner_key_id) IS NULL THEN
    UPDATE public.eval_rules x SET paused = true, lease_until = NULL, version = x.version + 1, updated_at = moment,
        error = '{"kind":"owner_gone","message":"the owner may not run workflows any more"}'
      WHERE x.id = r.id;
    PERFORM nodeai.audit(r.org_id, jsonb_build_object('action', 'evaluation_rule.refused', 'resource_type', 'evaluation rule',
      'resource_id', r.id, 'details', jsonb_build_object('reason', 'the owner may not run workflows any more',
        'owner_id', r.owner_id, 'owner_key_id', r.owner_key_id)));
    RETURN '{"outcome":"ended"}';
  END IF;
  spent := nodeai.rule_spent(r);
  IF spent >= r.budget_pusd THEN
    UPDATE public.eval_rules x SET lease_until = NULL, updated_at = moment,
        next_at = date_trunc('day', moment, 'UTC') + interval '1 day',
        error = '{"kind":"budget","message":"the budget of this UTC day is spent"}'
      WHERE x.id = r.id;
    RETURN '{"outcome":"stepped"}';
  END IF;
  WITH seen AS (
    INSERT INTO public.eval_rule_traces (org_id, rule_id, trace_id, reason)
      SELECT r.org_id, r.id, x.trace_id, left(x.reason, 1000)
      FROM jsonb_to_recordset(p -> 'items' || (p -> 'skipped')) x (trace_id text, reason text)
      ON CONFLICT DO NOTHING
    RETURNING trace_id, reason)
  SELECT array_agg(s.trace_id) FILTER (WHERE s.reason IS NULL), count(s.reason) + r.skipped INTO taken, r.skipped FROM seen s;
  IF taken IS NOT NULL THEN
    -- The dataset is that of a month, and never full.
    DELETE FROM public.eval_items i WHERE i.dataset_id = r.dataset_id AND i.org_id = r.org_id AND i.source_trace_id IS NOT NULL
      AND (i.created_at < moment - interval '30 days' OR i.id < (SELECT y.id FROM public.eval_items y
        WHERE y.dataset_id = r.dataset_id ORDER BY y.id DESC OFFSET 45000 LIMIT 1));
    UPDATE public.eval_datasets d SET version = d.version + 1, updated_at = moment WHERE d.id = r.dataset_id RETURNING d.version INTO next;
    made := nodeai.uuid_v7();
    INSERT INTO public.evaluations (id, org_id, dataset_id, dataset_version, name, target, metrics, settings, judge, items,
        budget_pusd, owner_id, owner_key_id, rule_id, created_by)
      VALUES (made, r.org_id, r.dataset_id, next, r.name, jsonb_build_object('rule_id', r.id), r.metrics, r.settings, r.judge,
        cardinality(taken), r.budget_pusd - spent, r.owner_id, r.owner_key_id, r.id, r.owner_id);
    WITH items AS (
      INSERT INTO public.eval_items (id, org_id, dataset_id, dataset_version, question, metadata, source_trace_id, created_by)
        SELECT nodeai.uuid_v7(), r.org_id, r.dataset_id, next, x.question, jsonb_build_object('at_us', x.at_us), x.trace_id, r.owner_id
        FROM jsonb_to_recordset(p -> 'items') x (trace_id text, at_us bigint, question jsonb) WHERE x.trace_id = ANY (taken)
      RETURNING id, source_trace_id)
    INSERT INTO public.eval_tasks (org_id, evaluation_id, item_id, step, state, output)
      SELECT r.org_id, made, i.id, 'target', 'given', x.answered
      FROM items i JOIN jsonb_to_recordset(p -> 'items') x (trace_id text, answered jsonb) ON x.trace_id = i.source_trace_id;
  END IF;
  DELETE FROM public.eval_rule_traces s WHERE s.rule_id = r.id AND s.at < moment - interval '2 days'
    AND r.looked_at > moment - interval '1 hour';
  UPDATE public.eval_rules x SET sampled = x.sampled + coalesce(cardinality(taken), 0), skipped = r.skipped, lease_until = NULL,
      error = NULL, updated_at = moment,
      looked_at = CASE WHEN (p ->> 'whole')::boolean THEN nodeai.from_us((p ->> 'looked_us')::bigint) ELSE x.looked_at END,
      next_at = moment + CASE WHEN (p ->> 'whole')::boolean THEN x.every_s * interval '1 second' ELSE interval '0' END
    WHERE x.id = r.id;
  RETURN jsonb_build_object('outcome', 'stepped', 'evaluation_id', made);
END
$$;
SELECT nodeai.expose('public.eval_rule_step(jsonb)', '{service_role}');

-- What an evaluation of sampled traces comes to is a score of each trace, in the same transaction.
CREATE FUNCTION nodeai.score_traces() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
  INSERT INTO public.trace_scores (id, org_id, trace_id, name, source, score, comment, created_by)
    SELECT nodeai.uuid_v7(), m.org_id, i.source_trace_id, m.metric,
      CASE WHEN EXISTS (SELECT FROM public.eval_tasks t WHERE t.evaluation_id = m.evaluation_id AND t.item_id = m.item_id
        AND t.step = m.metric) THEN 'judge' ELSE 'code' END, m.score, left(m.reason, 10000), e.owner_id
    FROM made m
    JOIN public.evaluations e ON e.id = m.evaluation_id AND e.org_id = m.org_id AND e.rule_id IS NOT NULL
    JOIN public.eval_items i ON i.id = m.item_id AND i.org_id = m.org_id AND i.source_trace_id IS NOT NULL
    WHERE m.score IS NOT NULL;
  RETURN NULL;
END
$$;
SELECT nodeai.expose('nodeai.score_traces()', '{}');
CREATE TRIGGER score_traces AFTER INSERT ON public.eval_results
  REFERENCING NEW TABLE AS made FOR EACH STATEMENT EXECUTE FUNCTION nodeai.score_traces();

-- {"id","org_id","from_us","to_us","step": "hour|day"} → {"points": [{"metric","at_us","n","mean","deviation","failed"}]} by the time
-- of the traces, or null.
CREATE FUNCTION public.eval_rule_series(p jsonb) RETURNS jsonb
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = '' AS $$
  SELECT jsonb_build_object('points', (
    SELECT coalesce(jsonb_agg(to_jsonb(x) ORDER BY x.metric, x.at_us), '[]') FROM (
      SELECT s.metric, nodeai.to_us(date_trunc(p ->> 'step', nodeai.from_us((i.metadata ->> 'at_us')::bigint), 'UTC')) AS at_us,
        count(s.score) AS n, avg(s.score) AS mean, stddev_samp(s.score) AS deviation, count(*) - count(s.score) AS failed
      FROM public.evaluations e
      JOIN public.eval_results s ON s.evaluation_id = e.id AND s.org_id = e.org_id
      JOIN public.eval_items i ON i.id = s.item_id AND i.org_id = e.org_id
      WHERE e.rule_id = r.id AND e.org_id = r.org_id
        -- A batch is made after its traces; none is older than six hours unless nobody drained.
        AND e.created_at >= nodeai.from_us((p ->> 'from_us')::bigint)
        AND (i.metadata ->> 'at_us')::bigint >= (p ->> 'from_us')::bigint
        AND (i.metadata ->> 'at_us')::bigint < (p ->> 'to_us')::bigint
      GROUP BY 1, 2) x))
  FROM public.eval_rules r
  WHERE r.id = (p ->> 'id')::uuid AND r.org_id = coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid
$$;
SELECT nodeai.expose('public.eval_rule_series(jsonb)', '{authenticated,service_role}');

SELECT nodeai.allow_call(fn) FROM unnest(ARRAY['eval_rules_claim', 'eval_rule_step', 'eval_rule_series']) fn;
