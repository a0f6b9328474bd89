-- Experiments as jobs: which search settings of a knowledge base are best for a dataset. An experiment makes no call of its own: it
-- queues runs that search with its owner's rights, each for a batch of questions. Whoever drains takes one up by a lease, stores the
-- lists of candidates that have come, and tries all settings on them once all are there.

ALTER TABLE public.experiments
  ADD COLUMN dataset_version integer,
  -- By which metric, such as ndcg@10.
  ADD COLUMN metric text NOT NULL DEFAULT 'ndcg@10' CONSTRAINT experiments_metric_length CHECK (char_length(metric) <= 100),
  -- What the space is held against; the base's own search unless given.
  ADD COLUMN baseline jsonb,
  ADD COLUMN questions integer NOT NULL DEFAULT 0,
  -- Candidates of each list, and questions of each run.
  ADD COLUMN depth integer NOT NULL DEFAULT 50,
  ADD COLUMN batch_size integer NOT NULL DEFAULT 25,
  -- What the base was like: the index, whether it has vectors, its search settings.
  ADD COLUMN index_version integer,
  ADD COLUMN vectors boolean NOT NULL DEFAULT false,
  ADD COLUMN base_search jsonb,
  -- The base's search settings as `apply` made them.
  ADD COLUMN applied_search jsonb,
  ADD COLUMN rolled_back_at timestamptz,
  ADD COLUMN error jsonb,
  ADD COLUMN started_at timestamptz,
  ADD COLUMN finished_at timestamptz,
  -- Whoever made it: runs act as they.
  ADD COLUMN owner_id uuid,
  ADD COLUMN owner_key_id uuid,
  ADD COLUMN next_at timestamptz NOT NULL DEFAULT now();
DROP INDEX public.experiments_open_idx;
CREATE INDEX experiments_open_idx ON public.experiments (next_at, id) WHERE status IN ('queued', 'running');

-- What an experiment comes to is said by whoever drains; a caller may end it, apply it and take that back.
REVOKE UPDATE (progress, outcome, cost_pusd) ON public.experiments FROM authenticated;
UPDATE nodeai.writable_tables SET
    insertable = insertable
      || '{dataset_version,metric,baseline,questions,depth,batch_size,index_version,vectors,base_search}'::text[],
    updatable = '{name,status,finished_at,applied_at,applied_search,rolled_back_at}'::text[]
  WHERE table_name = 'experiments';
GRANT INSERT (dataset_version, metric, baseline, questions, depth, batch_size, index_version, vectors, base_search),
  UPDATE (finished_at, applied_search, rolled_back_at) ON public.experiments TO authenticated;
REVOKE INSERT, UPDATE ON public.experiment_trials FROM authenticated;

-- A question of an experiment, and what the base has found for it.
CREATE TABLE public.experiment_questions (
  org_id uuid NOT NULL,
  experiment_id uuid NOT NULL CONSTRAINT experiment_questions_experiment
    REFERENCES public.experiments (id) ON DELETE CASCADE,
  item_id uuid NOT NULL CONSTRAINT experiment_questions_item REFERENCES public.eval_items (id) ON DELETE CASCADE,
  -- Questions of one run, from 0.
  batch integer NOT NULL,
  state text NOT NULL DEFAULT 'pending'
    CONSTRAINT experiment_questions_state CHECK (state IN ('pending', 'running', 'done')),
  execution_id uuid,
  -- {"documents": [id],"chunks": [place of its document],"lexical": [[place of the chunk, score]],"vector"}, without texts.
  lists jsonb,
  -- Why there are none.
  error text,
  PRIMARY KEY (experiment_id, item_id)
);
CREATE INDEX experiment_questions_open_idx ON public.experiment_questions (experiment_id, state, batch) WHERE state <> 'done';
CREATE INDEX experiment_questions_item_idx ON public.experiment_questions (item_id);
CREATE INDEX experiment_questions_org_idx ON public.experiment_questions (org_id);
SELECT nodeai.tenant_table('public.experiment_questions', 'viewer', 'editor', 'SELECT, INSERT');
SELECT nodeai.belongs_to('public.experiment_questions', 'experiments', 'experiment_id');
SELECT nodeai.belongs_to('public.experiment_questions', 'eval_items', 'item_id');

-- The claims that the owner of an experiment has now; none when they may not run workflows, or not search.
CREATE FUNCTION nodeai.claims_of_searcher(org uuid, owner uuid, owner_key uuid) RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
  SELECT c.claims FROM (SELECT nodeai.claims_of_owner(org, owner, owner_key) AS claims) c
  WHERE nodeai.scope_covers(ARRAY(SELECT jsonb_array_elements_text(c.claims -> 'scopes')), 'knowledge:run')
$$;
SELECT nodeai.expose('nodeai.claims_of_searcher(uuid, uuid, uuid)', '{service_role}');

-- Whoever makes an experiment is who its runs act as. Refuses those who could not search themselves.
CREATE FUNCTION nodeai.own_experiment() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
  IF auth.uid() IS NULL THEN
    RETURN NEW;
  END IF;
  NEW.owner_id := auth.uid();
  NEW.owner_key_id := nullif(nodeai.claims() ->> 'key_id', '')::uuid;
  IF nodeai.claims_of_searcher(NEW.org_id, NEW.owner_id, NEW.owner_key_id) IS NULL THEN
    RAISE EXCEPTION 'may not run workflows and search' USING ERRCODE = 'insufficient_privilege';
  END IF;
  RETURN NEW;
END
$$;
SELECT nodeai.expose('nodeai.own_experiment()', '{}');
CREATE TRIGGER own_experiment BEFORE INSERT ON public.experiments
  FOR EACH ROW EXECUTE FUNCTION nodeai.own_experiment();

-- Changes ------------------------------------------------------------------------------------------------------------

-- What the API shows of an experiment.
CREATE FUNCTION nodeai.experiment_shown(e public.experiments) RETURNS jsonb LANGUAGE sql STABLE
  RETURN to_jsonb(e) - ARRAY['org_id', 'created_by', 'lease_until', 'lease_token', 'next_at', 'cost_pusd', 'depth', 'batch_size',
      'vectors']
    || jsonb_build_object('cost_usd_micros', round(e.cost_pusd / 1000000.0)::bigint);
SELECT nodeai.expose('nodeai.experiment_shown(public.experiments)', '{authenticated,service_role}');

-- An experiment of the organisation, or NA404.
CREATE FUNCTION nodeai.experiment_of(org uuid, experiment uuid) RETURNS public.experiments
LANGUAGE plpgsql STABLE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  e public.experiments;
BEGIN
  SELECT * INTO e FROM public.experiments x WHERE x.id = experiment AND x.org_id = org;
  IF e.id IS NULL THEN
    RAISE EXCEPTION 'missing' USING ERRCODE = 'NA404';
  END IF;
  RETURN e;
END
$$;
SELECT nodeai.expose('nodeai.experiment_of(uuid, uuid)', '{authenticated,service_role}');

-- {"id","row": with "depth" of the space,"most": questions,"needs_vectors"}: the items that say what is relevant, the oldest ones.
CREATE FUNCTION nodeai.do_experiment_create(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  args jsonb := p -> 'args';
  given jsonb := args -> 'row';
  made uuid := (args ->> 'id')::uuid;
  k public.knowledge_bases;
  d public.eval_datasets;
  upto integer;
  has_vectors boolean;
  depth integer;
  batch integer;
  chosen uuid[];
BEGIN
  SELECT * INTO k FROM public.knowledge_bases x WHERE x.id = (given ->> 'knowledge_base_id')::uuid AND x.org_id = org;
  SELECT * INTO d FROM public.eval_datasets x WHERE x.id = (given ->> 'dataset_id')::uuid AND x.org_id = org;
  upto := coalesce((given ->> 'dataset_version')::integer, d.version);
  has_vectors := jsonb_typeof(k.settings -> 'embedding') = 'object';
  IF k.id IS NULL OR d.id IS NULL THEN
    RAISE EXCEPTION 'missing' USING ERRCODE = 'NA404';
  ELSIF upto > d.version THEN
    RAISE EXCEPTION 'the dataset has no such version' USING ERRCODE = 'NA409';
  ELSIF (args ->> 'needs_vectors')::boolean AND NOT coalesce(has_vectors, false) THEN
    RAISE EXCEPTION 'the knowledge base has no vectors; try the mode lexical alone, or rebuild it with an embedding model'
      USING ERRCODE = 'NA409';
  ELSIF (SELECT count(*) FROM public.experiments x WHERE x.org_id = org AND x.status IN ('queued', 'running')) >= 10 THEN
    RAISE EXCEPTION 'an organisation has at most 10 experiments at work' USING ERRCODE = 'NA409';
  END IF;
  SELECT array_agg(x.id ORDER BY x.id) INTO chosen FROM (
    SELECT i.id FROM public.eval_items i
    WHERE i.org_id = org AND i.dataset_id = d.id AND i.dataset_version <= upto AND i.relevant IS NOT NULL
      AND i.relevant NOT IN ('null', '[]', '{}')
    ORDER BY i.id LIMIT (args ->> 'most')::integer) x;
  IF chosen IS NULL THEN
    RAISE EXCEPTION 'no item of the dataset says which documents are relevant at this version' USING ERRCODE = 'NA409';
  END IF;
  -- As long as the base's own search makes its lists, at least. An answer has some thousand candidates of each kind.
  depth := greatest((given ->> 'depth')::integer,
    least(400, greatest(50, 5 * coalesce((k.settings #>> '{search,k}')::integer, 10))));
  batch := least(25, greatest(5, 2500 / depth));
  given := given || jsonb_build_object('dataset_version', upto, 'questions', cardinality(chosen), 'depth', depth,
    'batch_size', batch, 'index_version', k.active_index, 'vectors', coalesce(has_vectors, false),
    'base_search', coalesce(k.settings -> 'search', '{}'));
  PERFORM nodeai.insert_row('experiments', made, org, given);
  INSERT INTO public.experiment_questions (org_id, experiment_id, item_id, batch)
    SELECT org, made, c.item, (c.at - 1) / batch
    FROM unnest(chosen) WITH ORDINALITY c (item, at);
  RETURN jsonb_build_object('version', 1, 'body', nodeai.experiment_shown(nodeai.experiment_of(org, made)),
    'changes', jsonb_build_object('after', nodeai.audit_view(given)));
END
$$;
SELECT nodeai.expose('nodeai.do_experiment_create(uuid, jsonb)', '{authenticated,service_role}');

-- {"id"}: runs that are at work hear of it.
CREATE FUNCTION nodeai.do_experiment_cancel(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  e public.experiments := nodeai.experiment_of(org, (p #>> '{args,id}')::uuid);
  run uuid;
BEGIN
  -- The row's lock: whoever works on it has ended, or is fenced.
  PERFORM nodeai.change_row('experiments', 'update', e.id, org, '{}', NULL);
  e := nodeai.experiment_of(org, e.id);
  IF e.status NOT IN ('queued', 'running') THEN
    RAISE EXCEPTION 'the experiment has ended' USING ERRCODE = 'NA409';
  END IF;
  PERFORM nodeai.change_row('experiments', 'update', e.id, org,
    jsonb_build_object('status', 'cancelled', 'finished_at', clock_timestamp()), NULL);
  FOR run IN SELECT DISTINCT q.execution_id FROM public.experiment_questions q
      WHERE q.experiment_id = e.id AND q.org_id = org AND q.state = 'running' AND q.execution_id IS NOT NULL LOOP
    PERFORM public.run_cancel(jsonb_build_object('id', run, 'org_id', org));
  END LOOP;
  e := nodeai.experiment_of(org, e.id);
  RETURN jsonb_build_object('version', e.version, 'body', nodeai.experiment_shown(e));
END
$$;
SELECT nodeai.expose('nodeai.do_experiment_cancel(uuid, jsonb)', '{authenticated,service_role}');

-- {"id","expect_version"?}: with its trials; its runs and their traces stay, and so does what was applied.
CREATE FUNCTION nodeai.do_experiment_remove(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  args jsonb := p -> 'args';
  e public.experiments := nodeai.experiment_of(org, (args ->> 'id')::uuid);
BEGIN
  IF e.status IN ('queued', 'running') THEN
    RAISE EXCEPTION 'the experiment is at work; cancel it first' USING ERRCODE = 'NA409';
  END IF;
  PERFORM nodeai.change_row('experiments', 'delete', e.id, org, '{}', (args ->> 'expect_version')::integer);
  RETURN jsonb_build_object('changes', jsonb_build_object('before', nodeai.audit_view(nodeai.experiment_shown(e) - 'outcome')));
END
$$;
SELECT nodeai.expose('nodeai.do_experiment_remove(uuid, jsonb)', '{authenticated,service_role}');

-- Writes the search settings of an experiment's base, if they are still `was` and the index is still the one that was searched.
CREATE FUNCTION nodeai.change_search(e public.experiments, was jsonb, becomes jsonb) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  k public.knowledge_bases;
BEGIN
  -- The row's lock; what it says is read after that.
  PERFORM nodeai.change_row('knowledge_bases', 'update', e.knowledge_base_id, e.org_id, '{}', NULL);
  SELECT * INTO k FROM public.knowledge_bases x WHERE x.id = e.knowledge_base_id AND x.org_id = e.org_id;
  IF coalesce(k.settings -> 'search', '{}') <> was THEN
    RAISE EXCEPTION 'the search settings of the knowledge base have changed meanwhile' USING ERRCODE = 'NA409';
  END IF;
  PERFORM nodeai.change_row('knowledge_bases', 'update', k.id, e.org_id,
    jsonb_build_object('settings', k.settings || jsonb_build_object('search', becomes)), NULL);
END
$$;
SELECT nodeai.expose('nodeai.change_search(public.experiments, jsonb, jsonb)', '{authenticated,service_role}');

-- {"id","expect_version"?}: the winner's settings become those of the base, if nothing of it has changed since the experiment began.
CREATE FUNCTION nodeai.do_experiment_apply(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  args jsonb := p -> 'args';
  e public.experiments := nodeai.experiment_of(org, (args ->> 'id')::uuid);
  winner jsonb;
  becomes jsonb;
BEGIN
  PERFORM nodeai.change_row('experiments', 'update', e.id, org, '{}', (args ->> 'expect_version')::integer);
  e := nodeai.experiment_of(org, e.id);
  winner := nullif(e.outcome -> 'settings', 'null');
  IF e.status <> 'succeeded' THEN
    RAISE EXCEPTION 'the experiment has not succeeded' USING ERRCODE = 'NA409';
  ELSIF winner IS NULL THEN
    RAISE EXCEPTION 'there is no significant gain to be applied' USING ERRCODE = 'NA409';
  ELSIF e.applied_at IS NOT NULL AND e.rolled_back_at IS NULL THEN
    RAISE EXCEPTION 'it is applied already' USING ERRCODE = 'NA409';
  ELSIF NOT EXISTS (SELECT FROM public.knowledge_bases k WHERE k.id = e.knowledge_base_id AND k.org_id = org
      AND k.active_index = e.index_version) THEN
    RAISE EXCEPTION 'the knowledge base has another index now' USING ERRCODE = 'NA409';
  END IF;
  becomes := e.base_search - ARRAY['mode', 'fusion', 'weights', 'rrf_k', 'k'] || winner;
  PERFORM nodeai.change_search(e, e.base_search, becomes);
  PERFORM nodeai.change_row('experiments', 'update', e.id, org,
    jsonb_build_object('applied_at', clock_timestamp(), 'applied_search', becomes, 'rolled_back_at', NULL), NULL);
  e := nodeai.experiment_of(org, e.id);
  RETURN jsonb_build_object('version', e.version, 'body', nodeai.experiment_shown(e), 'changes', jsonb_build_object(
    'knowledge_base_id', e.knowledge_base_id, 'before', jsonb_build_object('search', e.base_search),
    'after', jsonb_build_object('search', becomes)));
END
$$;
SELECT nodeai.expose('nodeai.do_experiment_apply(uuid, jsonb)', '{authenticated,service_role}');

-- {"id","expect_version"?}: the base has the search settings again that it had before.
CREATE FUNCTION nodeai.do_experiment_rollback(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  args jsonb := p -> 'args';
  e public.experiments := nodeai.experiment_of(org, (args ->> 'id')::uuid);
BEGIN
  PERFORM nodeai.change_row('experiments', 'update', e.id, org, '{}', (args ->> 'expect_version')::integer);
  e := nodeai.experiment_of(org, e.id);
  IF e.applied_at IS NULL OR e.rolled_back_at IS NOT NULL THEN
    RAISE EXCEPTION 'it is not applied' USING ERRCODE = 'NA409';
  END IF;
  PERFORM nodeai.change_search(e, e.applied_search, e.base_search);
  PERFORM nodeai.change_row('experiments', 'update', e.id, org, jsonb_build_object('rolled_back_at', clock_timestamp()), NULL);
  e := nodeai.experiment_of(org, e.id);
  RETURN jsonb_build_object('version', e.version, 'body', nodeai.experiment_shown(e), 'changes', jsonb_build_object(
    'knowledge_base_id', e.knowledge_base_id, 'before', jsonb_build_object('search', e.applied_search),
    'after', jsonb_build_object('search', e.base_search)));
END
$$;
SELECT nodeai.expose('nodeai.do_experiment_rollback(uuid, jsonb)', '{authenticated,service_role}');

-- Reads --------------------------------------------------------------------------------------------------------------

-- {"id","org_id","after"?: number,"limit"} → {"trials": [row]} the best first, or null.
CREATE FUNCTION public.experiment_tried(p jsonb) RETURNS jsonb
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = '' AS $$
  SELECT jsonb_build_object('trials', (
    SELECT coalesce(jsonb_agg(x.row ORDER BY x.number), '[]') FROM (
      SELECT t.number, to_jsonb(t) - ARRAY['org_id', 'experiment_id', 'at'] AS row FROM public.experiment_trials t
      WHERE t.experiment_id = e.id AND t.org_id = e.org_id AND t.number > coalesce((p ->> 'after')::integer, 0)
      ORDER BY t.number LIMIT (p ->> 'limit')::integer) x))
  FROM public.experiments e
  WHERE e.id = (p ->> 'id')::uuid AND e.org_id = coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid
$$;
SELECT nodeai.expose('public.experiment_tried(jsonb)', '{authenticated,service_role}');

-- {"id","org_id","after"?: item,"limit"} → {"questions": [{"item_id","lists","error","relevant"}]} by item, or null.
CREATE FUNCTION public.experiment_lists(p jsonb) RETURNS jsonb
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = '' AS $$
  SELECT jsonb_build_object('questions', (
    SELECT coalesce(jsonb_agg(jsonb_build_object('item_id', x.item_id, 'lists', x.lists, 'error', x.error,
      'relevant', i.relevant) ORDER BY x.item_id), '[]') FROM (
      SELECT q.item_id, q.lists, q.error FROM public.experiment_questions q
      WHERE q.experiment_id = e.id AND q.org_id = e.org_id
        AND (p ->> 'after' IS NULL OR q.item_id > (p ->> 'after')::uuid)
      ORDER BY q.item_id LIMIT (p ->> 'limit')::integer) x
    JOIN public.eval_items i ON i.id = x.item_id AND i.org_id = e.org_id))
  FROM public.experiments e
  WHERE e.id = (p ->> 'id')::uuid AND e.org_id = (p ->> 'org_id')::uuid
$$;
SELECT nodeai.expose('public.experiment_lists(jsonb)', '{service_role}');

-- The job ------------------------------------------------------------------------------------------------------------

-- A run as whoever drains sees it; null while it is at work.
CREATE FUNCTION nodeai.run_ended(org uuid, run uuid) RETURNS jsonb
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = '' AS $$
  SELECT CASE WHEN q.id IS NULL THEN '{"status":"failed","cost_pusd":0,"error":{"kind":"missing","message":"the run is gone"}}'::jsonb
    WHEN q.finished_at IS NOT NULL THEN jsonb_build_object('status', q.status, 'outputs', q.outputs, 'error', q.error,
      'cost_pusd', q.cost_pusd) END
  FROM (SELECT 1) one LEFT JOIN public.execution_queue q ON q.id = run AND q.org_id = org
$$;
SELECT nodeai.expose('nodeai.run_ended(uuid, uuid)', '{service_role}');

-- Takes up one experiment: {"org_id"?,"lease_us"} → {"experiment": {"id","org_id","lease_token","knowledge_base_id","index","vectors",
-- "depth","search_space","baseline","base_search","metric","seed"},"ended": [{"batch","run","items": [id]}],
-- "waiting": [{"batch","items": [{"item_id","question"}]}]} or {"due_us"?}.
CREATE FUNCTION public.experiments_claim(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  org uuid := nullif(p ->> 'org_id', '')::uuid;
  at timestamptz := clock_timestamp();
  e public.experiments;
  ended jsonb;
  waiting jsonb;
  busy integer;
BEGIN
  SELECT * INTO e FROM public.experiments x
    WHERE x.status IN ('queued', 'running') AND x.next_at <= at AND (x.lease_until IS NULL OR x.lease_until < at)
      AND (org IS NULL OR x.org_id = org)
    ORDER BY x.next_at LIMIT 1 FOR UPDATE SKIP LOCKED;
  IF e.id IS NULL THEN
    RETURN jsonb_build_object('due_us', CASE WHEN org IS NULL THEN nodeai.to_us((
      SELECT min(x.next_at) FROM public.experiments x WHERE x.status IN ('queued', 'running'))) END);
  END IF;
  UPDATE public.experiments x SET lease_token = x.lease_token + 1,
      lease_until = at + (p ->> 'lease_us')::bigint * interval '1 microsecond'
    WHERE x.id = e.id RETURNING * INTO e;
  -- Outputs of a few runs are in memory at once.
  SELECT jsonb_agg(jsonb_build_object('batch', x.batch, 'run', x.run, 'items', x.items) ORDER BY x.batch) INTO ended FROM (
    SELECT b.batch, b.items, r.run FROM (
      SELECT q.batch, q.execution_id, jsonb_agg(q.item_id ORDER BY q.item_id) AS items FROM public.experiment_questions q
      WHERE q.experiment_id = e.id AND q.org_id = e.org_id AND q.state = 'running'
      GROUP BY q.batch, q.execution_id) b
    CROSS JOIN LATERAL (SELECT nodeai.run_ended(e.org_id, b.execution_id) AS run) r
    WHERE r.run IS NOT NULL ORDER BY b.batch LIMIT 2) x;
  SELECT count(DISTINCT q.batch) INTO busy FROM public.experiment_questions q
    WHERE q.experiment_id = e.id AND q.org_id = e.org_id AND q.state = 'running';
  SELECT jsonb_agg(jsonb_build_object('batch', x.batch, 'items', x.items) ORDER BY x.batch) INTO waiting FROM (
    SELECT q.batch, jsonb_agg(jsonb_build_object('item_id', q.item_id, 'question', i.question) ORDER BY q.item_id) AS items
    FROM public.experiment_questions q JOIN public.eval_items i ON i.id = q.item_id AND i.org_id = q.org_id
    WHERE q.experiment_id = e.id AND q.org_id = e.org_id AND q.state = 'pending'
    GROUP BY q.batch ORDER BY q.batch
    LIMIT greatest(4 - busy + coalesce(jsonb_array_length(ended), 0), 0)) x;
  RETURN jsonb_build_object('experiment', jsonb_build_object('id', e.id, 'org_id', e.org_id, 'lease_token', e.lease_token,
      'knowledge_base_id', e.knowledge_base_id, 'index', e.index_version, 'vectors', e.vectors, 'depth', e.depth,
      'search_space', e.search_space, 'baseline', e.baseline, 'base_search', e.base_search, 'metric', e.metric, 'seed', e.seed),
    'ended', coalesce(ended, '[]'), 'waiting', coalesce(waiting, '[]'));
END
$$;
SELECT nodeai.expose('public.experiments_claim(jsonb)', '{service_role}');

-- Ends an experiment that cannot go on; its runs are cancelled. Lists that have come stay.
CREATE FUNCTION nodeai.end_experiment(e public.experiments, why jsonb) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  run uuid;
BEGIN
  UPDATE public.experiments x SET status = 'failed', error = why, cost_pusd = e.cost_pusd, finished_at = clock_timestamp(),
      lease_until = NULL, lease_token = x.lease_token + 1, version = x.version + 1, updated_at = clock_timestamp()
    WHERE x.id = e.id;
  FOR run IN SELECT DISTINCT q.execution_id FROM public.experiment_questions q
      WHERE q.experiment_id = e.id AND q.org_id = e.org_id AND q.state = 'running' AND q.execution_id IS NOT NULL LOOP
    PERFORM public.run_cancel(jsonb_build_object('id', run, 'org_id', e.org_id));
  END LOOP;
END
$$;
SELECT nodeai.expose('nodeai.end_experiment(public.experiments, jsonb)', '{service_role}');

-- Why an experiment may not go on, or null.
CREATE FUNCTION nodeai.experiment_over(e public.experiments, acting jsonb) RETURNS jsonb LANGUAGE sql STABLE
  RETURN CASE
    WHEN acting IS NULL
      THEN '{"kind":"owner_gone","message":"the owner may not run workflows and search any more"}'::jsonb
    WHEN e.cost_pusd >= (e.budget ->> 'usd')::numeric * 1000000000000
      THEN '{"kind":"budget","message":"the experiment''s budget is spent"}'::jsonb
    WHEN clock_timestamp() >= e.created_at + (e.budget ->> 'minutes')::double precision * interval '1 minute'
      THEN '{"kind":"time","message":"the experiment took longer than its budget says"}'::jsonb END;
SELECT nodeai.expose('nodeai.experiment_over(public.experiments, jsonb)', '{service_role}');

-- Stores what ended batches have found, and queues the next: {"id","lease_token","ended": [{"batch","cost_pusd",
-- "questions": [{"item_id","lists"?,"error"?}]}],"runs": [{"batch","definition","inputs"}]} → {"outcome":"stepped|fenced|ended",
-- "open": questions without an end}. When nothing is open the lease stays with whoever has it: what follows takes a while.
CREATE FUNCTION public.experiment_step(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  e public.experiments;
  acting jsonb;
  done jsonb;
  run jsonb;
  started jsonb;
  key text;
  why jsonb;
  remaining bigint;
  moved boolean := jsonb_array_length(p -> 'ended') > 0;
BEGIN
  SELECT * INTO e FROM public.experiments x
    WHERE x.id = (p ->> 'id')::uuid AND x.status IN ('queued', 'running') AND x.lease_token = (p ->> 'lease_token')::bigint
    FOR UPDATE;
  IF e.id IS NULL THEN
    RETURN '{"outcome":"fenced"}';
  END IF;
  FOR done IN SELECT d FROM jsonb_array_elements(p -> 'ended') d LOOP
    UPDATE public.experiment_questions q SET state = 'done', lists = nullif(n.one -> 'lists', 'null'), error = n.one ->> 'error'
      FROM jsonb_array_elements(done -> 'questions') n(one)
      WHERE q.experiment_id = e.id AND q.item_id = (n.one ->> 'item_id')::uuid AND q.batch = (done ->> 'batch')::integer
        AND q.state = 'running';
    -- Said twice, as after an answer that was lost, it costs once.
    IF FOUND THEN
      e.cost_pusd := e.cost_pusd + (done ->> 'cost_pusd')::bigint;
    END IF;
  END LOOP;
  SELECT count(*) INTO remaining FROM public.experiment_questions q WHERE q.experiment_id = e.id AND q.state <> 'done';
  acting := nodeai.claims_of_searcher(e.org_id, e.owner_id, e.owner_key_id);
  why := nodeai.experiment_over(e, acting);
  -- With all lists there, nothing more is spent.
  IF why IS NOT NULL AND remaining > 0 THEN
    PERFORM nodeai.end_experiment(e, why);
    IF acting IS NULL THEN
      PERFORM nodeai.audit(e.org_id, jsonb_build_object('action', 'experiment.refused', 'resource_type', 'experiment',
        'resource_id', e.id, 'details', jsonb_build_object('reason', why -> 'message', 'owner_id', e.owner_id,
          'owner_key_id', e.owner_key_id)));
    END IF;
    RETURN '{"outcome":"ended"}';
  END IF;
  FOR run IN SELECT r FROM jsonb_array_elements(p -> 'runs') r LOOP
    CONTINUE WHEN NOT EXISTS (SELECT FROM public.experiment_questions q WHERE q.experiment_id = e.id
      AND q.batch = (run ->> 'batch')::integer AND q.state = 'pending');
    key := 'experiment/' || e.id || '/' || (run ->> 'batch');
    started := nodeai.start_as(acting, 'run_start', jsonb_build_object('id', nodeai.uuid_v7(), 'org_id', e.org_id,
        'definition', run -> 'definition', 'inputs', run -> 'inputs',
        'trace_id', replace(gen_random_uuid()::text, '-', ''),
        'span_id', substr(replace(gen_random_uuid()::text, '-', ''), 1, 16), 'priority', -10,
        'concurrency_key', 'experiment/' || e.id, 'concurrency_limit', 2),
      jsonb_build_object('key', key, 'request_hash', key));
    moved := true;
    IF started ->> 'outcome' IN ('started', 'replayed') THEN
      UPDATE public.experiment_questions q SET state = 'running', execution_id = (started #>> '{execution,id}')::uuid
        WHERE q.experiment_id = e.id AND q.batch = (run ->> 'batch')::integer;
    ELSE
      UPDATE public.experiment_questions q SET state = 'done', error = 'the run could not be queued: ' || (started ->> 'outcome')
        WHERE q.experiment_id = e.id AND q.batch = (run ->> 'batch')::integer;
    END IF;
  END LOOP;
  SELECT count(*) INTO remaining FROM public.experiment_questions q WHERE q.experiment_id = e.id AND q.state <> 'done';
  UPDATE public.experiments x SET status = 'running', started_at = coalesce(x.started_at, clock_timestamp()),
      cost_pusd = e.cost_pusd, updated_at = clock_timestamp(),
      lease_until = CASE WHEN remaining = 0 THEN x.lease_until END,
      -- What waits for runs is looked at once a second.
      next_at = clock_timestamp() + CASE WHEN moved OR remaining = 0 THEN interval '0' ELSE interval '1 second' END,
      progress = (SELECT jsonb_build_object('questions', e.questions, 'retrieved', count(*) FILTER (WHERE q.lists IS NOT NULL),
          'failed', count(*) FILTER (WHERE q.error IS NOT NULL))
        FROM public.experiment_questions q WHERE q.experiment_id = e.id)
    WHERE x.id = e.id;
  RETURN jsonb_build_object('outcome', 'stepped', 'open', remaining);
END
$$;
SELECT nodeai.expose('public.experiment_step(jsonb)', '{service_role}');

-- Ends an experiment of which all lists are there: {"id","lease_token","outcome"?,"trials": [{"number","settings","scores",
-- "latency_us"?,"cost_pusd"}],"error"?} → {"outcome":"finished|fenced"}.
CREATE FUNCTION public.experiment_finish(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  e public.experiments;
BEGIN
  SELECT * INTO e FROM public.experiments x
    WHERE x.id = (p ->> 'id')::uuid AND x.status = 'running' AND x.lease_token = (p ->> 'lease_token')::bigint
      AND NOT EXISTS (SELECT FROM public.experiment_questions q WHERE q.experiment_id = x.id AND q.state <> 'done')
    FOR UPDATE;
  IF e.id IS NULL THEN
    RETURN '{"outcome":"fenced"}';
  END IF;
  INSERT INTO public.experiment_trials (org_id, experiment_id, number, settings, scores, latency_us, cost_pusd)
    SELECT e.org_id, e.id, t.number, t.settings, t.scores, t.latency_us, coalesce(t.cost_pusd, 0)
    FROM jsonb_populate_recordset(NULL::public.experiment_trials, p -> 'trials') t
    ON CONFLICT DO NOTHING;
  UPDATE public.experiments x SET outcome = nullif(p -> 'outcome', 'null'), error = nullif(p -> 'error', 'null'),
      status = CASE WHEN nullif(p -> 'error', 'null') IS NULL THEN 'succeeded' ELSE 'failed' END,
      finished_at = clock_timestamp(), lease_until = NULL, version = x.version + 1, updated_at = clock_timestamp()
    WHERE x.id = e.id;
  RETURN '{"outcome":"finished"}';
END
$$;
SELECT nodeai.expose('public.experiment_finish(jsonb)', '{service_role}');

SELECT nodeai.allow_call(fn) FROM unnest(ARRAY['experiment_tried', 'experiment_lists', 'experiments_claim', 'experiment_step',
  'experiment_finish']) fn;
