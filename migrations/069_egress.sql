-- The hosts that a version may reach, stored with it and confirmed; what an organisation lets its runs do; error workflows of
-- runs that could not run their own.

-- Policies -----------------------------------------------------------------------------------------------------------------

-- `egress_policy`: what a version without a list of hosts may reach: any public host, those that it names, or nothing until
-- its hosts are confirmed. `max_depth`: how deep workflows may call workflows; 10 inside of a run, 5 as tools unless given.
ALTER TABLE public.organizations
  ADD COLUMN egress_policy text NOT NULL DEFAULT 'any'
    CONSTRAINT organizations_egress_policy CHECK (egress_policy IN ('any', 'inferred', 'confirmed')),
  ADD COLUMN max_depth smallint CONSTRAINT organizations_max_depth CHECK (max_depth BETWEEN 1 AND 50);
GRANT UPDATE (egress_policy, max_depth) ON public.organizations TO authenticated;

-- What a run is held to: {"egress","max_depth"}. Privileged, since each start of a run asks it; the strictest where nothing is
-- known of the organisation.
CREATE FUNCTION nodeai.run_policy(org uuid) RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
  SELECT coalesce((SELECT jsonb_build_object('egress', o.egress_policy, 'max_depth', o.max_depth)
    FROM public.organizations o WHERE o.id = org), '{"egress":"confirmed"}')
$$;
SELECT nodeai.expose('nodeai.run_policy(uuid)', '{authenticated,service_role}');

-- {"org_id"} → {"egress","max_depth"}, or null when there is no such organisation for the caller.
CREATE FUNCTION public.run_policies(p jsonb) RETURNS jsonb
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = '' AS $$
  SELECT jsonb_build_object('egress', o.egress_policy, 'max_depth', o.max_depth)
  FROM public.organizations o
  WHERE o.id = coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid
$$;
SELECT nodeai.expose('public.run_policies(jsonb)', '{authenticated,service_role}');
SELECT nodeai.allow_call('run_policies');

-- {"egress","max_depth": 1 to 50, or null}; the policy of the table lets admins and owners.
CREATE FUNCTION nodeai.do_run_policies(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  before jsonb := public.run_policies(jsonb_build_object('org_id', org));
  after jsonb;
BEGIN
  UPDATE public.organizations o SET egress_policy = p #>> '{args,egress}', max_depth = (p #>> '{args,max_depth}')::smallint
    WHERE o.id = org;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'this caller may not change what runs are let do' USING ERRCODE = 'insufficient_privilege';
  END IF;
  after := public.run_policies(jsonb_build_object('org_id', org));
  RETURN jsonb_build_object('body', after, 'changes', jsonb_build_object('before', before, 'after', after));
END
$$;
SELECT nodeai.expose('nodeai.do_run_policies(uuid, jsonb)', '{authenticated,service_role}');

-- Hosts of versions --------------------------------------------------------------------------------------------------------

-- `egress`: {"declared": the document's own list or null, "hosts": that it names, "open": pointers to fields whose host only a
-- run knows}, as they were when it was saved; null for what was saved without. `confirmed_egress`: a list that somebody has
-- confirmed for it. `document_hash` finds versions with the same document.
ALTER TABLE public.workflow_versions
  ADD COLUMN egress jsonb CONSTRAINT workflow_versions_egress CHECK (egress IS NULL
    OR coalesce(jsonb_typeof(egress -> 'hosts') = 'array' AND jsonb_typeof(egress -> 'open') = 'array', false)),
  ADD COLUMN confirmed_egress text[]
    CONSTRAINT workflow_versions_confirmed_egress CHECK (confirmed_egress IS NULL
      OR egress IS NOT NULL AND cardinality(confirmed_egress) <= 100),
  ADD COLUMN egress_confirmed_by uuid,
  ADD COLUMN egress_confirmed_at timestamptz,
  ADD COLUMN document_hash text;
UPDATE nodeai.writable_tables SET insertable = insertable || '{egress}'::text[] WHERE table_name = 'workflow_versions';
GRANT INSERT (egress) ON public.workflow_versions TO authenticated;

-- As before; a version with a document that the workflow had before has its hosts and their confirmation.
CREATE OR REPLACE FUNCTION nodeai.fill_version() RETURNS trigger
LANGUAGE plpgsql SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  same public.workflow_versions;
BEGIN
  IF NEW.definition IS NULL THEN
    SELECT w.definition INTO NEW.definition FROM public.workflows w WHERE w.id = NEW.workflow_id;
  END IF;
  NEW.document_hash := md5(NEW.definition::text);
  SELECT * INTO same FROM public.workflow_versions v
    WHERE v.workflow_id = NEW.workflow_id AND v.document_hash = NEW.document_hash AND v.definition = NEW.definition
    ORDER BY v.confirmed_egress IS NULL, v.number DESC LIMIT 1;
  NEW.egress := coalesce(NEW.egress, same.egress);
  NEW.confirmed_egress := same.confirmed_egress;
  NEW.egress_confirmed_by := same.egress_confirmed_by;
  NEW.egress_confirmed_at := same.egress_confirmed_at;
  RETURN NEW;
END
$$;

-- What the API shows of a version's hosts; null where nothing is stored. Whoever writes a list into the document has confirmed it.
CREATE FUNCTION nodeai.egress_shown(v public.workflow_versions) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = '' AS $$
  SELECT CASE WHEN v.egress IS NOT NULL THEN v.egress || CASE
    WHEN v.confirmed_egress IS NOT NULL THEN jsonb_build_object('declared', v.confirmed_egress,
      'confirmed_by', v.egress_confirmed_by, 'confirmed_at', v.egress_confirmed_at)
    WHEN jsonb_typeof(v.egress -> 'declared') = 'array' THEN jsonb_build_object('confirmed_by', v.author,
      'confirmed_at', v.created_at)
    ELSE '{}' END END
$$;
SELECT nodeai.expose('nodeai.egress_shown(public.workflow_versions)', '{authenticated,service_role}');

-- For `do_confirm_egress`: versions are changed by nobody else.
CREATE FUNCTION nodeai.confirm_version(org uuid, workflow uuid, wanted integer, hosts text[], named jsonb)
RETURNS public.workflow_versions
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  v public.workflow_versions;
BEGIN
  PERFORM nodeai.require_runner(org);
  UPDATE public.workflow_versions x SET egress = coalesce(x.egress, named), confirmed_egress = hosts,
      egress_confirmed_by = auth.uid(), egress_confirmed_at = clock_timestamp()
    WHERE x.workflow_id = workflow AND x.number = wanted AND x.org_id = org AND EXISTS (
      SELECT FROM public.workflows w WHERE w.id = workflow AND w.org_id = org AND w.deleted_at IS NULL)
    RETURNING * INTO v;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'missing' USING ERRCODE = 'NA404';
  END IF;
  RETURN v;
END
$$;
SELECT nodeai.expose('nodeai.confirm_version(uuid, uuid, integer, text[], jsonb)', '{authenticated,service_role}');

-- {"id","number","hosts","egress": what the version names, for one that was saved without}.
CREATE FUNCTION nodeai.do_confirm_egress(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  args jsonb := p -> 'args';
  before text[];
  v public.workflow_versions;
BEGIN
  SELECT x.confirmed_egress INTO before FROM public.workflow_versions x
    WHERE x.workflow_id = (args ->> 'id')::uuid AND x.number = (args ->> 'number')::integer AND x.org_id = org;
  v := nodeai.confirm_version(org, (args ->> 'id')::uuid, (args ->> 'number')::integer,
    ARRAY(SELECT jsonb_array_elements_text(args -> 'hosts')), args -> 'egress');
  RETURN jsonb_build_object('body', nodeai.egress_shown(v),
    'changes', jsonb_build_object('before', before, 'after', v.confirmed_egress));
END
$$;
SELECT nodeai.expose('nodeai.do_confirm_egress(uuid, jsonb)', '{authenticated,service_role}');

-- As before, and "egress" of each version.
CREATE OR REPLACE FUNCTION public.workflow_at(p jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  own uuid := coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  home uuid := nodeai.workflow_home((p ->> 'id')::uuid, own);
  w public.workflows;
BEGIN
  SELECT * INTO w FROM public.workflows x WHERE x.id = (p ->> 'id')::uuid AND x.org_id = home;
  IF w.id IS NULL THEN
    RETURN NULL;
  END IF;
  RETURN jsonb_build_object(
    'workflow', nodeai.workflow_brief(w),
    'role', CASE WHEN home = own THEN NULL WHEN w.id = ANY (nodeai.shared_workflows('editor')) THEN 'editor'
                 ELSE 'viewer' END,
    'versions', (
      SELECT coalesce(jsonb_object_agg(v.number, jsonb_build_object('number', v.number, 'definition', v.definition,
        'message', v.message, 'author', v.author, 'parent', v.parent, 'created_at', v.created_at,
        'egress', nodeai.egress_shown(v))), '{}')
      FROM public.workflow_versions v
      WHERE v.workflow_id = w.id AND v.number IN (
        SELECT CASE WHEN n::integer < 1 THEN w.version + n::integer ELSE coalesce(n::integer, w.version) END
        FROM jsonb_array_elements_text(p -> 'numbers') n)));
END
$$;

-- As before, and "egress" of each version.
CREATE OR REPLACE FUNCTION public.workflow_history(p jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  own uuid := coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  before integer := (p ->> 'before')::integer;
BEGIN
  IF nodeai.workflow_home((p ->> 'id')::uuid, own) IS NULL THEN
    RETURN NULL;
  END IF;
  RETURN (
    SELECT coalesce(jsonb_agg(to_jsonb(page) ORDER BY page.number DESC), '[]')
    FROM (SELECT v.number, v.message, v.author, v.parent, v.created_at, nodeai.egress_shown(v) AS egress
          FROM public.workflow_versions v
          WHERE v.workflow_id = (p ->> 'id')::uuid AND (before IS NULL OR v.number < before)
          ORDER BY v.number DESC LIMIT (p ->> 'limit')::integer) page);
END
$$;

-- As before; a copy keeps what its original names. Nobody has confirmed it.
CREATE OR REPLACE FUNCTION nodeai.do_duplicate_workflow(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  args jsonb := p -> 'args';
  w public.workflows;
BEGIN
  SELECT * INTO w FROM public.workflows x
    WHERE x.id = (args ->> 'id')::uuid AND x.org_id = nodeai.workflow_home(x.id, org);
  IF w.id IS NULL THEN
    RAISE EXCEPTION 'missing' USING ERRCODE = 'NA404';
  END IF;
  RETURN nodeai.do_write(org, jsonb_build_object(
    'table', 'workflows', 'op', 'insert', 'id', args -> 'new_id', 'returning', args -> 'returning',
    'row', jsonb_build_object(
      'name', coalesce(args ->> 'name', left(w.name, 193) || ' (copy)'), 'description', w.description,
      'definition', w.definition, 'tags', w.tags, 'settings', w.settings,
      'folder', coalesce(args ->> 'folder', CASE WHEN w.org_id = org THEN w.folder END),
      'created_at', args -> 'at', 'updated_at', args -> 'at'),
    'children', jsonb_build_array(jsonb_build_object('table', 'workflow_versions', 'row', jsonb_build_object(
      'workflow_id', args -> 'new_id', 'author', args -> 'author',
      'egress', (SELECT v.egress FROM public.workflow_versions v WHERE v.workflow_id = w.id AND v.number = w.version),
      'message', coalesce(args ->> 'message', format('Copy of %s, version %s', w.id, w.version)))))));
END
$$;

-- What runs are held to ----------------------------------------------------------------------------------------------------

-- As before, and where something is stored of the version's hosts, "egress" {"hosts": that it names, "confirmed": the list that was
-- confirmed, or null}.
CREATE OR REPLACE FUNCTION nodeai.runnable(workflow uuid, wanted integer) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  limited_to jsonb := nullif(nodeai.claims() -> 'workflow_ids', 'null');
  found jsonb;
BEGIN
  IF limited_to IS NOT NULL AND NOT limited_to ? workflow::text THEN
    RETURN NULL;
  END IF;
  SELECT jsonb_build_object('id', w.id, 'name', w.name, 'version', coalesce(wanted, w.version), 'definition',
      CASE WHEN w.version = coalesce(wanted, w.version) THEN w.definition ELSE v.definition END)
      || CASE WHEN v.egress IS NULL THEN '{}'::jsonb ELSE jsonb_build_object('egress',
        jsonb_build_object('hosts', v.egress -> 'hosts', 'confirmed', v.confirmed_egress)) END
      || CASE WHEN w.archived_at IS NULL THEN '{}'::jsonb ELSE '{"archived":true}' END
    INTO found
    FROM public.workflows w
    LEFT JOIN public.workflow_versions v ON v.workflow_id = w.id AND v.number = coalesce(wanted, w.version)
    WHERE w.id = workflow AND w.deleted_at IS NULL
      AND (w.version = coalesce(wanted, w.version) OR v.number IS NOT NULL);
  RETURN found;
END
$$;

-- As before, and "egress" of each, where there is one.
CREATE OR REPLACE FUNCTION public.run_library(p jsonb) RETURNS jsonb
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = '' AS $$
  SELECT coalesce(jsonb_agg(wanted || jsonb_build_object('definition', found -> 'definition')
    || CASE WHEN found ? 'egress' THEN jsonb_build_object('egress', found -> 'egress') ELSE '{}' END), '[]')
  FROM jsonb_array_elements(p -> 'workflows') wanted
  CROSS JOIN LATERAL nodeai.runnable((wanted ->> 'workflow_id')::uuid, (wanted ->> 'version')::integer) found
  WHERE found IS NOT NULL
$$;

-- As before, and "policy": what the run is held to.
CREATE OR REPLACE FUNCTION public.run_start(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  e jsonb := p -> 'execution';
  org uuid := coalesce(nullif(e ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  claim jsonb := nullif(p -> 'idempotency', 'null');
  earlier jsonb := CASE WHEN claim IS NOT NULL THEN nodeai.claimed_run(org, claim) END;
  workflow jsonb;
BEGIN
  IF earlier IS NOT NULL THEN
    RETURN earlier;
  END IF;
  IF e ->> 'workflow_id' IS NOT NULL THEN
    workflow := nodeai.runnable((e ->> 'workflow_id')::uuid, (e ->> 'version')::integer);
    IF workflow IS NULL THEN
      RETURN '{"outcome":"missing"}';
    END IF;
  ELSIF nullif(nodeai.claims() -> 'workflow_ids', 'null') IS NOT NULL THEN
    RETURN '{"outcome":"forbidden"}'; -- a key for certain workflows runs nothing else
  END IF;
  RETURN nodeai.begin_run(org, e, claim, workflow, NULL) || jsonb_build_object('policy', nodeai.run_policy(org));
EXCEPTION WHEN insufficient_privilege THEN
  RETURN '{"outcome":"forbidden"}';
END
$$;

ALTER TABLE public.execution_queue
  DROP CONSTRAINT execution_queue_depth,
  ADD CONSTRAINT execution_queue_depth CHECK (depth BETWEEN 0 AND 50);

-- As before, with the organisation's policy in the place of five: "most" says which one. And "policy", as for run_start.
CREATE OR REPLACE FUNCTION public.deployment_start(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  e jsonb := p -> 'execution';
  org uuid := coalesce(nullif(e ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  claim jsonb := nullif(p -> 'idempotency', 'null');
  earlier jsonb := CASE WHEN claim IS NOT NULL THEN nodeai.claimed_run(org, claim) END;
  who text := coalesce(nullif(e ->> 'sticky_key', ''), nodeai.principal_id()::text);
  named text := e ->> 'deployment';
  deep integer := nodeai.depth_of_call();
  policy jsonb := nodeai.run_policy(org);
  d public.deployments;
  workflow jsonb;
  begun jsonb;
BEGIN
  IF earlier IS NOT NULL THEN
    RETURN earlier;
  ELSIF deep > coalesce((policy ->> 'max_depth')::integer, 5) THEN
    RETURN jsonb_build_object('outcome', 'too_deep', 'most', policy -> 'max_depth');
  END IF;
  IF named ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN
    SELECT * INTO d FROM public.deployments x WHERE x.id = named::uuid AND x.org_id = org
      AND x.environment = coalesce(e ->> 'environment', x.environment);
  ELSE
    SELECT * INTO d FROM public.deployments x
      WHERE x.org_id = org AND x.slug = named AND x.environment = coalesce(e ->> 'environment', 'prod');
  END IF;
  workflow := nodeai.runnable(d.workflow_id, CASE
    WHEN nodeai.canary_bucket(d.id, who) < d.canary_percent THEN d.canary_version ELSE d.workflow_version END);
  IF d.id IS NULL OR workflow IS NULL THEN
    RETURN '{"outcome":"missing"}';
  ELSIF d.status = 'paused' THEN
    RETURN '{"outcome":"paused"}';
  END IF;
  workflow := jsonb_set(workflow, '{definition,vars}',
    coalesce(workflow #> '{definition,vars}', '{}') || d.variables);
  begun := nodeai.begin_run(org, e, claim, workflow, to_jsonb(d));
  IF deep > 0 AND begun ->> 'outcome' = 'started' THEN
    UPDATE public.execution_queue x SET depth = deep WHERE x.id = (begun #>> '{execution,id}')::uuid AND x.org_id = org;
  END IF;
  RETURN begun || jsonb_build_object('environment', d.environment, 'policy', policy);
EXCEPTION WHEN insufficient_privilege THEN
  RETURN '{"outcome":"forbidden"}';
END
$$;

-- As before, and "policy".
CREATE OR REPLACE FUNCTION public.run_load(p jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  q public.execution_queue;
  workflow jsonb;
BEGIN
  SELECT * INTO q FROM public.execution_queue x
    WHERE x.id = (p ->> 'id')::uuid AND x.org_id = coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid
      AND x.status = 'running' AND x.lease_token = (p ->> 'lease_token')::bigint;
  IF q.id IS NULL THEN
    RETURN NULL;
  END IF;
  IF q.workflow_id IS NOT NULL THEN
    workflow := nodeai.runnable(q.workflow_id, q.workflow_version);
    IF q.variables IS NOT NULL THEN
      workflow := jsonb_set(workflow, '{definition,vars}', q.variables);
    END IF;
  END IF;
  RETURN jsonb_build_object('workflow', workflow, 'definition', q.definition, 'budget', q.budget, 'labels', q.labels,
    'policy', nodeai.run_policy(q.org_id), 'answers', q.answers, 'pieces', (
    SELECT coalesce(jsonb_agg(event ORDER BY s.first_seq, place), '[]')
    FROM public.run_log_segments s CROSS JOIN LATERAL jsonb_array_elements(s.events) WITH ORDINALITY AS x(event, place)
    WHERE s.org_id = q.org_id AND s.execution_id = q.id));
END
$$;

-- Error workflows of runs that could not run their own -----------------------------------------------------------------------

-- `error_of`: the run for whose failure this one is the error workflow. That run may be gone.
ALTER TABLE public.execution_queue ADD COLUMN error_of uuid;
CREATE UNIQUE INDEX execution_queue_error_of_unique ON public.execution_queue (org_id, error_of) WHERE error_of IS NOT NULL;

-- As before, and "error_of".
CREATE OR REPLACE FUNCTION nodeai.execution_json(e public.execution_queue) RETURNS jsonb LANGUAGE sql STABLE
  RETURN jsonb_build_object(
    'id', e.id, 'org_id', e.org_id, 'workflow_id', e.workflow_id, 'workflow_version', e.workflow_version,
    'deployment_id', e.deployment_id, 'deployment_version', e.deployment_version, 'environment', e.environment,
    'variables', e.variables,
    'trace_id', e.trace_id, 'span_id', e.span_id, 'parent_span_id', e.parent_span_id,
    'user_id', e.user_id, 'key_id', e.key_id, 'status', e.status, 'mode', e.mode,
    'inputs', e.inputs, 'outputs', e.outputs, 'error', e.error, 'prompt_tokens', e.prompt_tokens,
    'completion_tokens', e.completion_tokens, 'cost_pusd', e.cost_pusd, 'attempts', e.attempts,
    'lease_token', e.lease_token, 'cancel_requested', e.cancel_requested_at IS NOT NULL,
    'waits', CASE WHEN e.status IN ('running', 'waiting') THEN e.waits ELSE '[]' END)
  || jsonb_build_object(
    'priority', e.priority, 'concurrency_key', e.concurrency_key, 'run_after_us', nodeai.to_us(e.run_after),
    'dead_us', nodeai.to_us(e.dead_at), 'error_of', e.error_of,
    'created_us', nodeai.to_us(e.created_at), 'started_us', nodeai.to_us(e.started_at),
    'finished_us', nodeai.to_us(e.finished_at), 'heartbeat_us', nodeai.to_us(e.heartbeat_at));

-- Whether a run's log says that its error workflow began. A string of a log may hold U+0000, as an escape that is not part of
-- another one; jsonb refuses it.
CREATE FUNCTION nodeai.error_workflow_began(org uuid, run uuid) RETURNS boolean
LANGUAGE sql STABLE SET search_path = '' AS $$
  SELECT EXISTS (
    SELECT FROM public.run_log_segments s
    CROSS JOIN LATERAL jsonb_array_elements(s.events) piece
    CROSS JOIN LATERAL jsonb_array_elements(CASE jsonb_typeof(piece)
      WHEN 'string' THEN regexp_replace(piece #>> '{}', '(\\\\)|\\u0000', '\1', 'g')::jsonb
      ELSE jsonb_build_array(piece) END) event
    WHERE s.org_id = org AND s.execution_id = run AND event ->> 'event' = 'error_workflow_started')
$$;
SELECT nodeai.expose('nodeai.error_workflow_began(uuid, uuid)', '{}');

-- A dead letter and a run that cannot run any more leave their error workflow to the queue, once, in the transaction that ends
-- them: with the claims of whoever asked for the run, and with what it would have been given inside of the run. A run that is
-- one itself has none, nor has one that failed in its own.
CREATE FUNCTION nodeai.leave_error_workflow() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  handler jsonb := coalesce(NEW.definition, (SELECT v.definition FROM public.workflow_versions v
    WHERE v.workflow_id = NEW.workflow_id AND v.number = NEW.workflow_version)) #> '{settings,error_workflow}';
  which uuid := CASE WHEN handler ->> 'workflow_id' ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
    THEN (handler ->> 'workflow_id')::uuid END;
  wanted integer := CASE WHEN handler ->> 'version' ~ '^[0-9]{1,9}$' THEN (handler ->> 'version')::integer END;
BEGIN
  IF NOT EXISTS (SELECT FROM public.workflow_versions v WHERE v.workflow_id = which AND v.number = wanted)
     OR nodeai.error_workflow_began(NEW.org_id, NEW.id) THEN
    RETURN NULL;
  END IF;
  INSERT INTO public.execution_queue (id, org_id, workflow_id, workflow_version, environment, trace_id, span_id, user_id, key_id,
      status, mode, inputs, budget, labels, priority, run_after, error_of)
    VALUES (nodeai.uuid_v7(), NEW.org_id, which, wanted, NEW.environment, replace(gen_random_uuid()::text, '-', ''),
      substr(md5(NEW.id::text || clock_timestamp()::text), 1, 16), NEW.user_id, NEW.key_id, 'queued', 'queued',
      jsonb_build_object('error', NEW.error, 'execution_id', NEW.id,
        'workflow', coalesce((SELECT w.name FROM public.workflows w WHERE w.id = NEW.workflow_id), '')),
      NEW.budget, NEW.labels, NEW.priority, clock_timestamp(), NEW.id)
    ON CONFLICT (org_id, error_of) WHERE error_of IS NOT NULL DO NOTHING;
  RETURN NULL;
END
$$;
SELECT nodeai.expose('nodeai.leave_error_workflow()', '{}');
CREATE TRIGGER leave_error_workflow AFTER UPDATE OF finished_at ON public.execution_queue
  FOR EACH ROW WHEN (NEW.mode = 'queued' AND OLD.finished_at IS NULL AND NEW.finished_at IS NOT NULL
    AND NEW.status = 'failed' AND NEW.error_of IS NULL AND NEW.error ->> 'kind' IN ('dead_letter', 'cannot_run'))
  EXECUTE FUNCTION nodeai.leave_error_workflow();
