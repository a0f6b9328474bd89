-- Evaluations as jobs. An evaluation makes no call of its own: it queues runs of its target, and then of judges, with its owner's
-- rights. Whoever drains takes one up by a lease, says what those that have ended come to, and one function call stores that and
-- queues what comes next.

ALTER TABLE public.evaluations
  -- Items up to this version of the dataset.
  ADD COLUMN dataset_version integer,
  ADD COLUMN judge jsonb,
  ADD COLUMN items integer NOT NULL DEFAULT 0,
  ADD COLUMN budget_pusd bigint CONSTRAINT evaluations_budget CHECK (budget_pusd > 0),
  -- Whoever made it: runs act as they.
  ADD COLUMN owner_id uuid,
  ADD COLUMN owner_key_id uuid,
  ADD COLUMN next_at timestamptz NOT NULL DEFAULT now(),
  ADD CONSTRAINT evaluations_metrics_few CHECK (cardinality(metrics) BETWEEN 1 AND 50) NOT VALID;
DROP INDEX public.evaluations_open_idx;
CREATE INDEX evaluations_open_idx ON public.evaluations (next_at, id) WHERE status IN ('queued', 'running');

-- What an evaluation comes to is said by whoever drains; a caller may rename it or end it.
REVOKE UPDATE (progress, summary, error, cost_pusd, started_at) ON public.evaluations FROM authenticated;
UPDATE nodeai.writable_tables SET
    insertable = insertable || '{dataset_version,judge,items,budget_pusd}'::text[],
    updatable = '{name,status,finished_at}'::text[]
  WHERE table_name = 'evaluations';
GRANT INSERT (dataset_version, judge, items, budget_pusd) ON public.evaluations TO authenticated;
REVOKE INSERT ON public.eval_results FROM authenticated;

-- What an evaluation has to do: `target` for each item, then each judged metric. `given` is an answer that its maker has brought.
CREATE TABLE public.eval_tasks (
  org_id uuid NOT NULL,
  evaluation_id uuid NOT NULL CONSTRAINT eval_tasks_evaluation REFERENCES public.evaluations (id) ON DELETE CASCADE,
  item_id uuid NOT NULL CONSTRAINT eval_tasks_item REFERENCES public.eval_items (id) ON DELETE CASCADE,
  step text NOT NULL,
  state text NOT NULL DEFAULT 'pending'
    CONSTRAINT eval_tasks_state CHECK (state IN ('pending', 'running', 'given', 'done')),
  execution_id uuid,
  -- Of `target`: {"answer","contexts","retrieved"}, or {"error"}.
  output jsonb,
  cost_pusd bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (evaluation_id, item_id, step)
);
CREATE INDEX eval_tasks_open_idx ON public.eval_tasks (evaluation_id, state, item_id) WHERE state <> 'done';
CREATE INDEX eval_tasks_item_idx ON public.eval_tasks (item_id);
CREATE INDEX eval_tasks_org_idx ON public.eval_tasks (org_id);
SELECT nodeai.tenant_table('public.eval_tasks', 'viewer', 'editor', 'SELECT, INSERT');
SELECT nodeai.belongs_to('public.eval_tasks', 'evaluations', 'evaluation_id');
SELECT nodeai.belongs_to('public.eval_tasks', 'eval_items', 'item_id');

-- What people say about a result: how far the judge can be trusted.
CREATE TABLE public.eval_labels (
  org_id uuid NOT NULL,
  evaluation_id uuid NOT NULL CONSTRAINT eval_labels_evaluation REFERENCES public.evaluations (id) ON DELETE CASCADE,
  item_id uuid NOT NULL CONSTRAINT eval_labels_item REFERENCES public.eval_items (id) ON DELETE CASCADE,
  metric text NOT NULL,
  label double precision NOT NULL CONSTRAINT eval_labels_label_is_number CHECK (label <> 'NaN'),
  comment text CONSTRAINT eval_labels_comment_length CHECK (char_length(comment) <= 2000),
  labelled_by uuid,
  at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (evaluation_id, item_id, metric)
);
CREATE INDEX eval_labels_org_idx ON public.eval_labels (org_id, at DESC);
CREATE INDEX eval_labels_item_idx ON public.eval_labels (item_id);
SELECT nodeai.tenant_table('public.eval_labels', 'viewer', 'editor', 'SELECT, INSERT, DELETE');
GRANT UPDATE (label, comment, labelled_by, at) ON public.eval_labels TO authenticated;
SELECT nodeai.belongs_to('public.eval_labels', 'evaluations', 'evaluation_id');
SELECT nodeai.belongs_to('public.eval_labels', 'eval_items', 'item_id');

-- Whoever makes an evaluation is who its runs act as. Refuses those who could not run workflows themselves.
CREATE FUNCTION nodeai.own_evaluation() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
  IF auth.uid() IS NULL THEN
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
SELECT nodeai.expose('nodeai.own_evaluation()', '{}');
CREATE TRIGGER own_evaluation BEFORE INSERT ON public.evaluations
  FOR EACH ROW EXECUTE FUNCTION nodeai.own_evaluation();

-- Changes ------------------------------------------------------------------------------------------------------------

-- What the API shows of an evaluation.
CREATE FUNCTION nodeai.evaluation_shown(e public.evaluations) RETURNS jsonb LANGUAGE sql STABLE
  RETURN to_jsonb(e) - ARRAY['org_id', 'created_by', 'lease_until', 'lease_token', 'next_at', 'cost_pusd', 'budget_pusd']
    || jsonb_build_object('cost_usd_micros', round(e.cost_pusd / 1000000.0)::bigint,
      'budget_usd_micros', round(e.budget_pusd / 1000000.0)::bigint);
SELECT nodeai.expose('nodeai.evaluation_shown(public.evaluations)', '{authenticated,service_role}');

-- An evaluation of the organisation, or NA404.
CREATE FUNCTION nodeai.evaluation_of(org uuid, evaluation uuid) RETURNS public.evaluations
LANGUAGE plpgsql STABLE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  e public.evaluations;
BEGIN
  SELECT * INTO e FROM public.evaluations x WHERE x.id = evaluation AND x.org_id = org;
  IF e.id IS NULL THEN
    RAISE EXCEPTION 'missing' USING ERRCODE = 'NA404';
  END IF;
  RETURN e;
END
$$;
SELECT nodeai.expose('nodeai.evaluation_of(uuid, uuid)', '{authenticated,service_role}');

-- {"id","row","most"?: items,"answers"?: {item: {"answer","contexts"?,"retrieved"?}}}
CREATE FUNCTION nodeai.do_evaluation_create(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  args jsonb := p -> 'args';
  given jsonb := args -> 'row';
  target jsonb := given -> 'target';
  answers jsonb := nullif(args -> 'answers', 'null');
  made uuid := (args ->> 'id')::uuid;
  d public.eval_datasets;
  upto integer;
  chosen uuid[];
BEGIN
  SELECT * INTO d FROM public.eval_datasets x WHERE x.id = (given ->> 'dataset_id')::uuid AND x.org_id = org;
  upto := coalesce((given ->> 'dataset_version')::integer, d.version);
  IF d.id IS NULL THEN
    RAISE EXCEPTION 'missing' USING ERRCODE = 'NA404';
  ELSIF upto > d.version THEN
    RAISE EXCEPTION 'the dataset has no such version' USING ERRCODE = 'NA409';
  ELSIF (SELECT count(*) FROM public.evaluations x WHERE x.org_id = org AND x.status IN ('queued', 'running')) >= 20 THEN
    RAISE EXCEPTION 'an organisation has at most 20 evaluations at work' USING ERRCODE = 'NA409';
  END IF;
  IF target ? 'workflow_id' OR target ->> 'deployment_id' IS NOT NULL THEN
    PERFORM nodeai.require_target(org, (target ->> 'workflow_id')::uuid, (target ->> 'workflow_version')::integer,
      (target ->> 'deployment_id')::uuid);
  END IF;
  SELECT array_agg(x.id ORDER BY x.id) INTO chosen FROM (
    SELECT i.id FROM public.eval_items i
    WHERE i.org_id = org AND i.dataset_id = d.id AND i.dataset_version <= upto
      AND (answers IS NULL OR answers ? i.id::text)
    ORDER BY i.id LIMIT coalesce((args ->> 'most')::integer, 5001)) x;
  IF chosen IS NULL THEN
    RAISE EXCEPTION 'the dataset has no such items at this version' USING ERRCODE = 'NA409';
  ELSIF cardinality(chosen) > 5000 THEN
    RAISE EXCEPTION 'an evaluation takes at most 5000 items; say max_items' USING ERRCODE = 'NA409';
  ELSIF answers IS NOT NULL AND args ->> 'most' IS NULL
      AND cardinality(chosen) <> (SELECT count(*) FROM jsonb_object_keys(answers)) THEN
    RAISE EXCEPTION 'some answers are of items that the dataset does not have' USING ERRCODE = 'NA409';
  END IF;
  given := given || jsonb_build_object('dataset_version', upto, 'items', cardinality(chosen));
  PERFORM nodeai.insert_row('evaluations', made, org, given);
  INSERT INTO public.eval_tasks (org_id, evaluation_id, item_id, step, state, output)
    SELECT org, made, i, 'target', CASE WHEN answers IS NULL THEN 'pending' ELSE 'given' END, answers -> i::text
    FROM unnest(chosen) i;
  RETURN jsonb_build_object('version', 1, 'body', nodeai.evaluation_shown(nodeai.evaluation_of(org, made)),
    'changes', jsonb_build_object('after', nodeai.audit_view(given)));
END
$$;
SELECT nodeai.expose('nodeai.do_evaluation_create(uuid, jsonb)', '{authenticated,service_role}');

-- {"id"}: what it has come to stays; runs that are at work hear of it.
CREATE FUNCTION nodeai.do_evaluation_cancel(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  e public.evaluations := nodeai.evaluation_of(org, (p #>> '{args,id}')::uuid);
  run uuid;
BEGIN
  -- The row's lock: whoever works on it has ended, or is fenced.
  PERFORM nodeai.change_row('evaluations', 'update', e.id, org, '{}', NULL);
  e := nodeai.evaluation_of(org, e.id);
  IF e.status NOT IN ('queued', 'running') THEN
    RAISE EXCEPTION 'the evaluation has ended' USING ERRCODE = 'NA409';
  END IF;
  PERFORM nodeai.change_row('evaluations', 'update', e.id, org,
    jsonb_build_object('status', 'cancelled', 'finished_at', clock_timestamp()), NULL);
  FOR run IN SELECT t.execution_id FROM public.eval_tasks t
      WHERE t.evaluation_id = e.id AND t.state = 'running' AND t.execution_id IS NOT NULL LOOP
    PERFORM public.run_cancel(jsonb_build_object('id', run, 'org_id', org));
  END LOOP;
  e := nodeai.evaluation_of(org, e.id);
  RETURN jsonb_build_object('version', e.version, 'body', nodeai.evaluation_shown(e));
END
$$;
SELECT nodeai.expose('nodeai.do_evaluation_cancel(uuid, jsonb)', '{authenticated,service_role}');

-- {"id","expect_version"?}: with its results; its runs and their traces stay.
CREATE FUNCTION nodeai.do_evaluation_remove(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  args jsonb := p -> 'args';
  e public.evaluations := nodeai.evaluation_of(org, (args ->> 'id')::uuid);
BEGIN
  IF e.status IN ('queued', 'running') THEN
    RAISE EXCEPTION 'the evaluation is at work; cancel it first' USING ERRCODE = 'NA409';
  END IF;
  PERFORM nodeai.change_row('evaluations', 'delete', e.id, org, '{}', (args ->> 'expect_version')::integer);
  RETURN jsonb_build_object('changes', jsonb_build_object('before', nodeai.audit_view(nodeai.evaluation_shown(e) - 'summary')));
END
$$;
SELECT nodeai.expose('nodeai.do_evaluation_remove(uuid, jsonb)', '{authenticated,service_role}');

-- {"id","labels": [{"item_id","metric","label": null takes it away,"comment"?}]}
CREATE FUNCTION nodeai.do_evaluation_label(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  args jsonb := p -> 'args';
  e public.evaluations := nodeai.evaluation_of(org, (args ->> 'id')::uuid);
  l jsonb;
BEGIN
  FOR l IN SELECT x FROM jsonb_array_elements(args -> 'labels') x LOOP
    IF NOT EXISTS (SELECT FROM public.eval_results r WHERE r.evaluation_id = e.id AND r.org_id = org
        AND r.item_id = (l ->> 'item_id')::uuid AND r.metric = l ->> 'metric') THEN
      RAISE EXCEPTION 'there is no result of % for item %', l ->> 'metric', l ->> 'item_id' USING ERRCODE = 'NA409';
    ELSIF l ->> 'label' IS NULL THEN
      DELETE FROM public.eval_labels x WHERE x.evaluation_id = e.id AND x.org_id = org
        AND x.item_id = (l ->> 'item_id')::uuid AND x.metric = l ->> 'metric';
    ELSE
      INSERT INTO public.eval_labels (org_id, evaluation_id, item_id, metric, label, comment, labelled_by)
        VALUES (org, e.id, (l ->> 'item_id')::uuid, l ->> 'metric', (l ->> 'label')::double precision, l ->> 'comment', auth.uid())
      ON CONFLICT (evaluation_id, item_id, metric) DO UPDATE SET label = excluded.label, comment = excluded.comment,
        labelled_by = excluded.labelled_by, at = clock_timestamp();
    END IF;
  END LOOP;
  RETURN jsonb_build_object('body', jsonb_build_object('labelled', jsonb_array_length(args -> 'labels')),
    'changes', jsonb_build_object('labelled', jsonb_array_length(args -> 'labels')));
END
$$;
SELECT nodeai.expose('nodeai.do_evaluation_label(uuid, jsonb)', '{authenticated,service_role}');

-- The text or object at a path of what a span says went in or came out, under whichever of the names it has.
CREATE FUNCTION nodeai.span_content(attributes jsonb, names text[], place text[]) RETURNS jsonb
LANGUAGE sql IMMUTABLE
  RETURN (SELECT (attributes -> n.name) #> place FROM unnest(names) WITH ORDINALITY n(name, at)
    WHERE (attributes -> n.name) #> place IS NOT NULL ORDER BY n.at LIMIT 1);
SELECT nodeai.expose('nodeai.span_content(jsonb, text[], text[])', '{authenticated,service_role}');

-- {"dataset_id","trace_ids"?,"workflow_id"?,"from_us"?,"to_us"?,"score"?: {"name","min"?,"max"?},"question": path,"expected"?: path,
-- "limit"}: question and answer of traces as the dataset's next version. A trace comes into a dataset once; those without a
-- question are left out.
CREATE FUNCTION nodeai.do_eval_from_traces(org uuid, p jsonb) RETURNS jsonb
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
      nodeai.span_content(s.attributes, '{nodeai.input,input.value}', at_question) AS question,
      CASE WHEN at_expected IS NOT NULL THEN
        nodeai.span_content(s.attributes, '{nodeai.output,output.value}', at_expected) END AS expected
    FROM chosen c CROSS JOIN LATERAL (
      SELECT x.attributes FROM public.spans x
      WHERE x.day = c.day AND x.org_id = org AND x.trace_id = c.trace_id
        AND x.attributes ?| '{nodeai.input,input.value}'
      ORDER BY x.started_at, x.span_id LIMIT 1) s
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
SELECT nodeai.expose('nodeai.do_eval_from_traces(uuid, jsonb)', '{authenticated,service_role}');

-- Reads --------------------------------------------------------------------------------------------------------------

-- {"id","org_id","metric"?,"failed"?,"after"?: {"item_id","metric"},"limit"} → {"results"} by item and metric, or null.
CREATE FUNCTION public.evaluation_results(p jsonb) RETURNS jsonb
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = '' AS $$
  SELECT jsonb_build_object('results', (
    SELECT coalesce(jsonb_agg(x.row ORDER BY x.item_id, x.metric), '[]') FROM (
      SELECT r.item_id, r.metric, to_jsonb(r) - ARRAY['org_id', 'evaluation_id'] || jsonb_build_object(
        'question', i.question, 'expected', i.expected, 'answer', t.output -> 'answer', 'contexts', t.output -> 'contexts',
        'execution_id', t.execution_id, 'label', l.label, 'label_comment', l.comment) AS row
      FROM public.eval_results r
      JOIN public.eval_items i ON i.id = r.item_id AND i.org_id = r.org_id
      LEFT JOIN public.eval_tasks t ON t.evaluation_id = r.evaluation_id AND t.item_id = r.item_id AND t.step = 'target'
        AND t.org_id = r.org_id
      LEFT JOIN public.eval_labels l ON l.evaluation_id = r.evaluation_id AND l.item_id = r.item_id
        AND l.metric = r.metric AND l.org_id = r.org_id
      WHERE r.evaluation_id = e.id AND r.org_id = e.org_id
        AND (p ->> 'metric' IS NULL OR r.metric = p ->> 'metric')
        AND (p ->> 'failed' IS NULL OR (r.score IS NULL) = (p ->> 'failed')::boolean)
        AND (p #>> '{after,item_id}' IS NULL
          OR (r.item_id, r.metric) > ((p #>> '{after,item_id}')::uuid, p #>> '{after,metric}'))
      ORDER BY r.item_id, r.metric LIMIT (p ->> 'limit')::integer) x))
  FROM public.evaluations e
  WHERE e.id = (p ->> 'id')::uuid AND e.org_id = coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid
$$;
SELECT nodeai.expose('public.evaluation_results(jsonb)', '{authenticated,service_role}');

-- {"id","org_id"} → {"status","metrics","scores": {metric: {item: score}},"failed": {metric: count}} or null.
CREATE FUNCTION public.evaluation_scores(p jsonb) RETURNS jsonb
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = '' AS $$
  SELECT jsonb_build_object('status', e.status, 'metrics', e.settings -> 'metrics',
    'scores', (SELECT coalesce(jsonb_object_agg(x.metric, x.scores), '{}') FROM (
      SELECT r.metric, jsonb_object_agg(r.item_id, r.score) AS scores FROM public.eval_results r
      WHERE r.evaluation_id = e.id AND r.org_id = e.org_id AND r.score IS NOT NULL GROUP BY r.metric) x),
    'failed', (SELECT coalesce(jsonb_object_agg(x.metric, x.n), '{}') FROM (
      SELECT r.metric, count(*) AS n FROM public.eval_results r
      WHERE r.evaluation_id = e.id AND r.org_id = e.org_id AND r.score IS NULL GROUP BY r.metric) x))
  FROM public.evaluations e
  WHERE e.id = (p ->> 'id')::uuid AND e.org_id = coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid
$$;
SELECT nodeai.expose('public.evaluation_scores(jsonb)', '{authenticated,service_role}');

-- {"id","org_id"} → {"pairs": {metric: [[score, label], …]}} or null.
CREATE FUNCTION public.evaluation_pairs(p jsonb) RETURNS jsonb
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = '' AS $$
  SELECT jsonb_build_object('pairs', (SELECT coalesce(jsonb_object_agg(x.metric, x.pairs), '{}') FROM (
    SELECT r.metric, jsonb_agg(jsonb_build_array(r.score, l.label) ORDER BY r.item_id) AS pairs
    FROM public.eval_labels l
    JOIN public.eval_results r ON r.evaluation_id = l.evaluation_id AND r.item_id = l.item_id AND r.metric = l.metric
    WHERE l.evaluation_id = e.id AND l.org_id = e.org_id AND r.score IS NOT NULL GROUP BY r.metric) x))
  FROM public.evaluations e
  WHERE e.id = (p ->> 'id')::uuid AND e.org_id = coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid
$$;
SELECT nodeai.expose('public.evaluation_pairs(jsonb)', '{authenticated,service_role}');

-- The job ------------------------------------------------------------------------------------------------------------

-- A run of a task as whoever drains sees it; null while it is at work.
CREATE FUNCTION nodeai.task_run(t public.eval_tasks) RETURNS jsonb
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = '' AS $$
  SELECT coalesce((
    SELECT CASE WHEN q.finished_at IS NULL THEN NULL ELSE jsonb_build_object('execution_id', q.id, 'trace_id', q.trace_id,
      'status', q.status, 'outputs', q.outputs, 'error', q.error, 'cost_pusd', q.cost_pusd,
      'latency_us', nodeai.to_us(q.finished_at) - nodeai.to_us(coalesce(q.started_at, q.created_at))) END
    FROM public.execution_queue q WHERE q.id = t.execution_id AND q.org_id = t.org_id),
    CASE WHEN NOT EXISTS (SELECT FROM public.execution_queue q WHERE q.id = t.execution_id AND q.org_id = t.org_id)
      THEN '{"status":"failed","cost_pusd":0,"error":{"kind":"missing","message":"the run is gone"}}'::jsonb END)
$$;
SELECT nodeai.expose('nodeai.task_run(public.eval_tasks)', '{service_role}');

-- Takes up one evaluation: {"org_id"?,"lease_us","tasks": most of them} → {"evaluation": {"id","org_id","lease_token","target",
-- "settings","judge"},"ended": [{"item_id","step","item","run"?,"given"?}],"more"} or {"due_us"?}.
CREATE FUNCTION public.evaluations_claim(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  org uuid := nullif(p ->> 'org_id', '')::uuid;
  most integer := (p ->> 'tasks')::integer;
  at timestamptz := clock_timestamp();
  e public.evaluations;
  ended jsonb;
BEGIN
  SELECT * INTO e FROM public.evaluations x
    WHERE x.status IN ('queued', 'running') AND x.next_at <= at AND (x.lease_until IS NULL OR x.lease_until < at)
      AND (org IS NULL OR x.org_id = org)
    ORDER BY x.next_at LIMIT 1 FOR UPDATE SKIP LOCKED;
  IF e.id IS NULL THEN
    RETURN jsonb_build_object('due_us', CASE WHEN org IS NULL THEN nodeai.to_us((
      SELECT min(x.next_at) FROM public.evaluations x WHERE x.status IN ('queued', 'running'))) END);
  END IF;
  UPDATE public.evaluations x SET lease_token = x.lease_token + 1,
      lease_until = at + (p ->> 'lease_us')::bigint * interval '1 microsecond'
    WHERE x.id = e.id RETURNING * INTO e;
  SELECT jsonb_agg(jsonb_build_object('item_id', x.item_id, 'step', x.step, 'run', x.run, 'given', x.given, 'item',
      jsonb_build_object('question', i.question, 'expected', i.expected, 'relevant', i.relevant, 'metadata', i.metadata)))
    INTO ended
    FROM (
      SELECT t.item_id, t.step, r.run, CASE WHEN t.state = 'given' THEN t.output END AS given
      FROM public.eval_tasks t CROSS JOIN LATERAL (
        SELECT CASE WHEN t.state = 'running' THEN nodeai.task_run(t) END AS run) r
      WHERE t.evaluation_id = e.id AND t.org_id = e.org_id AND (t.state = 'given' OR t.state = 'running' AND r.run IS NOT NULL)
      ORDER BY t.item_id, t.step LIMIT most) x
    JOIN public.eval_items i ON i.id = x.item_id AND i.org_id = e.org_id;
  RETURN jsonb_build_object('evaluation', jsonb_build_object('id', e.id, 'org_id', e.org_id, 'lease_token', e.lease_token,
    'target', e.target, 'settings', e.settings, 'judge', e.judge), 'ended', coalesce(ended, '[]'),
    'more', coalesce(jsonb_array_length(ended) >= most, false));
END
$$;
SELECT nodeai.expose('public.evaluations_claim(jsonb)', '{service_role}');

-- Queues one run of an evaluation with its owner's rights: → {"outcome","execution_id"?}. `run` has what run_start or
-- deployment_start take. A run is queued once, whatever becomes of whoever asked for it.
CREATE FUNCTION nodeai.evaluation_run(e public.evaluations, acting jsonb, item uuid, step text, run jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  remains bigint := e.budget_pusd - e.cost_pusd;
  key text := 'evaluation/' || e.id || '/' || item || '/' || step;
  trace text := replace(gen_random_uuid()::text, '-', '');
  started jsonb;
BEGIN
  IF remains <= 0 THEN
    RETURN '{"outcome":"budget"}';
  END IF;
  started := nodeai.start_as(acting, CASE WHEN run ? 'deployment' THEN 'deployment_start' ELSE 'run_start' END,
    run || jsonb_build_object('id', nodeai.uuid_v7(), 'org_id', e.org_id, 'trace_id', trace,
      'span_id', substr(replace(gen_random_uuid()::text, '-', ''), 1, 16), 'priority', -10,
      'concurrency_key', 'evaluation/' || e.id, 'concurrency_limit', coalesce((e.settings ->> 'concurrency')::integer, 4),
      'budget', jsonb_build_object('pusd', remains, 'tokens', NULL, 'refuse_unpriced',
        remains IS NOT NULL AND NOT coalesce((e.settings ->> 'allow_unpriced')::boolean, false))),
    jsonb_build_object('key', key, 'request_hash', key));
  RETURN jsonb_build_object('outcome', CASE started ->> 'outcome' WHEN 'replayed' THEN 'started' ELSE started ->> 'outcome' END,
    'execution_id', started #> '{execution,id}');
END
$$;
SELECT nodeai.expose('nodeai.evaluation_run(public.evaluations, jsonb, uuid, text, jsonb)', '{service_role}');

-- Why a run was not queued, for a person.
CREATE FUNCTION nodeai.evaluation_reason(outcome text) RETURNS text LANGUAGE sql IMMUTABLE
  RETURN CASE outcome
    WHEN 'budget' THEN 'the evaluation''s budget is spent'
    WHEN 'missing' THEN 'what is evaluated is not there any more'
    WHEN 'forbidden' THEN 'the evaluation''s owner may not run that'
    WHEN 'archived' THEN 'the workflow is in the archive, where nothing runs'
    WHEN 'paused' THEN 'the deployment is paused'
    ELSE 'the run could not be queued: ' || outcome END;
SELECT nodeai.expose('nodeai.evaluation_reason(text)', '{service_role}');

-- Ends an evaluation that cannot go on. What it has come to stays.
CREATE FUNCTION nodeai.end_evaluation(evaluation uuid, why jsonb) RETURNS void
LANGUAGE sql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
  UPDATE public.evaluations x SET status = 'failed', error = why, finished_at = clock_timestamp(), lease_until = NULL,
      lease_token = x.lease_token + 1, version = x.version + 1, updated_at = clock_timestamp()
    WHERE x.id = evaluation;
$$;
SELECT nodeai.expose('nodeai.end_evaluation(uuid, jsonb)', '{service_role}');

-- Queues runs of the target for items that wait, so that at most twice as many are open as may run at once. Returns how many.
CREATE FUNCTION nodeai.evaluation_targets(e public.evaluations, acting jsonb) RETURNS integer
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  places integer := 2 * coalesce((e.settings ->> 'concurrency')::integer, 4) - (SELECT count(*) FROM public.eval_tasks t
    WHERE t.evaluation_id = e.id AND t.state = 'running')::integer;
  target jsonb := e.target;
  task record;
  made jsonb;
  n integer := 0;
BEGIN
  FOR task IN SELECT t.item_id, i.question FROM public.eval_tasks t JOIN public.eval_items i ON i.id = t.item_id
      WHERE t.evaluation_id = e.id AND t.state = 'pending' ORDER BY t.item_id LIMIT greatest(places, 0) LOOP
    made := nodeai.evaluation_run(e, acting, task.item_id, 'target', jsonb_build_object('inputs',
      coalesce(nullif(target -> 'inputs', 'null'), '{}') || CASE jsonb_typeof(task.question) WHEN 'object' THEN task.question
        ELSE jsonb_build_object(coalesce(target ->> 'input', 'question'), task.question) END)
      || CASE WHEN target ->> 'workflow_id' IS NOT NULL
          THEN jsonb_build_object('workflow_id', target -> 'workflow_id', 'version', target -> 'workflow_version')
        WHEN target ->> 'deployment_id' IS NOT NULL
          THEN jsonb_build_object('deployment', target -> 'deployment_id', 'sticky_key', task.item_id)
        ELSE jsonb_build_object('definition', target -> 'definition') END);
    n := n + 1;
    IF made ->> 'outcome' = 'started' THEN
      UPDATE public.eval_tasks t SET state = 'running', execution_id = (made ->> 'execution_id')::uuid
        WHERE t.evaluation_id = e.id AND t.item_id = task.item_id AND t.step = 'target';
      CONTINUE;
    END IF;
    UPDATE public.eval_tasks t SET state = 'done', output = jsonb_build_object('error', made -> 'outcome')
      WHERE t.evaluation_id = e.id AND t.item_id = task.item_id AND t.step = 'target';
    INSERT INTO public.eval_results (org_id, evaluation_id, item_id, metric, reason)
      SELECT e.org_id, e.id, task.item_id, m, nodeai.evaluation_reason(made ->> 'outcome') FROM unnest(e.metrics) m
      ON CONFLICT DO NOTHING;
    UPDATE public.evaluations x SET error = jsonb_build_object('kind', made -> 'outcome',
        'message', nodeai.evaluation_reason(made ->> 'outcome'))
      WHERE x.id = e.id AND x.error IS NULL;
  END LOOP;
  RETURN n;
END
$$;
SELECT nodeai.expose('nodeai.evaluation_targets(public.evaluations, jsonb)', '{service_role}');

-- Stores what ended tasks come to, and queues what comes next: {"id","lease_token","tasks": [{"item_id","step","output"?,
-- "cost_pusd"}],"results": [rows],"judges": [{"item_id","metric","definition","inputs"}]} → {"outcome":"stepped|fenced|ended",
-- "open": tasks that have not ended}.
CREATE FUNCTION public.evaluation_step(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  e public.evaluations;
  acting jsonb;
  judge jsonb;
  made jsonb;
  moved bigint;
  spent bigint;
  remaining bigint;
BEGIN
  SELECT * INTO e FROM public.evaluations x
    WHERE x.id = (p ->> 'id')::uuid AND x.status IN ('queued', 'running') AND x.lease_token = (p ->> 'lease_token')::bigint
    FOR UPDATE;
  IF e.id IS NULL THEN
    RETURN '{"outcome":"fenced"}';
  END IF;
  WITH changed AS (
    UPDATE public.eval_tasks t SET state = 'done', output = coalesce(nullif(d.done -> 'output', 'null'), t.output),
        cost_pusd = coalesce((d.done ->> 'cost_pusd')::bigint, 0)
      FROM jsonb_array_elements(p -> 'tasks') d(done)
      WHERE t.evaluation_id = e.id AND t.item_id = (d.done ->> 'item_id')::uuid AND t.step = d.done ->> 'step'
        AND t.state <> 'done'
      RETURNING t.cost_pusd)
  SELECT count(*), coalesce(sum(c.cost_pusd), 0) INTO moved, spent FROM changed c;
  e.cost_pusd := e.cost_pusd + spent;
  INSERT INTO public.eval_results (org_id, evaluation_id, item_id, metric, score, reason, verdicts, trace_id, cost_pusd)
    SELECT e.org_id, e.id, r.item_id, r.metric, r.score, r.reason, nullif(r.verdicts, 'null'), r.trace_id,
      coalesce(r.cost_pusd, 0)
    FROM jsonb_populate_recordset(NULL::public.eval_results, p -> 'results') r
    ON CONFLICT DO NOTHING;
  acting := nodeai.claims_of_owner(e.org_id, e.owner_id, e.owner_key_id);
  IF acting IS NULL THEN
    PERFORM nodeai.end_evaluation(e.id, '{"kind":"owner_gone","message":"the owner may not run workflows any more"}');
    PERFORM nodeai.audit(e.org_id, jsonb_build_object('action', 'evaluation.refused', 'resource_type', 'evaluation',
      'resource_id', e.id, 'details', jsonb_build_object('reason', 'the owner may not run workflows any more',
        'owner_id', e.owner_id, 'owner_key_id', e.owner_key_id)));
    RETURN '{"outcome":"ended"}';
  END IF;
  FOR judge IN SELECT j FROM jsonb_array_elements(p -> 'judges') j LOOP
    made := nodeai.evaluation_run(e, acting, (judge ->> 'item_id')::uuid, judge ->> 'metric',
      jsonb_build_object('definition', judge -> 'definition', 'inputs', judge -> 'inputs'));
    INSERT INTO public.eval_tasks (org_id, evaluation_id, item_id, step, state, execution_id)
      VALUES (e.org_id, e.id, (judge ->> 'item_id')::uuid, judge ->> 'metric',
        CASE made ->> 'outcome' WHEN 'started' THEN 'running' ELSE 'done' END, (made ->> 'execution_id')::uuid)
      ON CONFLICT DO NOTHING;
    IF made ->> 'outcome' <> 'started' THEN
      INSERT INTO public.eval_results (org_id, evaluation_id, item_id, metric, reason)
        VALUES (e.org_id, e.id, (judge ->> 'item_id')::uuid, judge ->> 'metric', nodeai.evaluation_reason(made ->> 'outcome'))
        ON CONFLICT DO NOTHING;
      UPDATE public.evaluations x SET error = jsonb_build_object('kind', made -> 'outcome',
          'message', nodeai.evaluation_reason(made ->> 'outcome'))
        WHERE x.id = e.id AND x.error IS NULL;
    END IF;
  END LOOP;
  moved := moved + nodeai.evaluation_targets(e, acting);
  SELECT count(*) INTO remaining FROM public.eval_tasks t WHERE t.evaluation_id = e.id AND t.state <> 'done';
  UPDATE public.evaluations x SET status = 'running', started_at = coalesce(x.started_at, clock_timestamp()),
      cost_pusd = e.cost_pusd, lease_until = NULL, updated_at = clock_timestamp(),
      -- What waits for runs is looked at once a second.
      next_at = clock_timestamp() + CASE WHEN moved > 0 OR remaining = 0 THEN interval '0' ELSE interval '1 second' END,
      progress = jsonb_build_object('items', e.items,
        'answered', (SELECT count(*) FROM public.eval_tasks t
          WHERE t.evaluation_id = e.id AND t.step = 'target' AND t.state = 'done'),
        'results', (SELECT count(*) FROM public.eval_results r WHERE r.evaluation_id = e.id),
        'of', e.items * cardinality(e.metrics))
    WHERE x.id = e.id;
  RETURN jsonb_build_object('outcome', 'stepped', 'open', remaining);
END
$$;
SELECT nodeai.expose('public.evaluation_step(jsonb)', '{service_role}');

-- Ends an evaluation of which everything has ended: {"id","lease_token","summary","scored": whether anything has a score} →
-- {"outcome":"finished|fenced"}.
CREATE FUNCTION public.evaluation_finish(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
BEGIN
  UPDATE public.evaluations x SET summary = p -> 'summary', finished_at = clock_timestamp(), lease_until = NULL,
      status = CASE WHEN x.error IS NULL AND (p ->> 'scored')::boolean THEN 'succeeded' ELSE 'failed' END,
      error = coalesce(x.error, CASE WHEN NOT (p ->> 'scored')::boolean
        THEN '{"kind":"nothing_scored","message":"no result has a score; each says why"}'::jsonb END),
      version = x.version + 1, updated_at = clock_timestamp()
    WHERE x.id = (p ->> 'id')::uuid AND x.status = 'running' AND x.lease_token = (p ->> 'lease_token')::bigint
      AND NOT EXISTS (SELECT FROM public.eval_tasks t WHERE t.evaluation_id = x.id AND t.state <> 'done');
  RETURN jsonb_build_object('outcome', CASE WHEN FOUND THEN 'finished' ELSE 'fenced' END);
END
$$;
SELECT nodeai.expose('public.evaluation_finish(jsonb)', '{service_role}');

-- `evaluation.finished`, whatever its end is.
CREATE FUNCTION nodeai.emit_evaluation() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
  IF nodeai.listens(NEW.org_id, 'evaluation.finished', NULL) THEN
    PERFORM nodeai.emit_event(NEW.org_id, 'evaluation.finished', jsonb_build_object('evaluation_id', NEW.id, 'name', NEW.name,
      'dataset_id', NEW.dataset_id, 'dataset_version', NEW.dataset_version, 'status', NEW.status, 'items', NEW.items,
      'summary', NEW.summary, 'error', NEW.error, 'cost_usd_micros', round(NEW.cost_pusd / 1000000.0)::bigint,
      'created_at', nodeai.event_time(NEW.created_at), 'finished_at', nodeai.event_time(NEW.finished_at)),
      'evaluation/' || NEW.id, NULL);
  END IF;
  RETURN NULL;
END
$$;
SELECT nodeai.expose('nodeai.emit_evaluation()', '{}');
CREATE TRIGGER emit_evaluation AFTER UPDATE OF status ON public.evaluations
  FOR EACH ROW WHEN (OLD.status IN ('queued', 'running') AND NEW.status IN ('succeeded', 'failed', 'cancelled'))
  EXECUTE FUNCTION nodeai.emit_evaluation();

SELECT nodeai.allow_call(fn) FROM unnest(ARRAY['evaluation_results', 'evaluation_scores', 'evaluation_pairs',
  'evaluations_claim', 'evaluation_step', 'evaluation_finish']) fn;
