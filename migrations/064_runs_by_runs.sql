-- Workflows as tools of workflows: a run may begin what is deployed, down to a depth. The queue is shared fairly between
-- organisations.

-- As before, and what is deployed may be run: that is how a workflow is a tool of another.
CREATE OR REPLACE FUNCTION nodeai.scopes_of_run(q public.execution_queue, member_role text) RETURNS text[]
LANGUAGE sql STABLE SET search_path = '' AS $$
  SELECT coalesce(array_agg(s.scope ORDER BY s.scope), '{}')
  FROM unnest(ARRAY['deployments:run', 'files:read', 'files:write', 'knowledge:read', 'knowledge:run', 'knowledge:write',
    'tools:read', 'tools:run', 'webhooks:run']) s (scope)
  WHERE nodeai.scope_covers(nodeai.scopes_of(member_role), s.scope)
    AND (q.key_id IS NULL OR q.workflow_id IS NOT NULL OR EXISTS (
      SELECT FROM public.api_keys k WHERE k.id = q.key_id AND nodeai.scope_covers(k.scopes, s.scope)))
$$;

-- How many runs stand above a run, each begun by the one before.
ALTER TABLE public.execution_queue
  ADD COLUMN depth smallint NOT NULL DEFAULT 0 CONSTRAINT execution_queue_depth CHECK (depth BETWEEN 0 AND 5);

-- The depth of what the caller begins: 0 unless the caller is a run. The row is its own organisation's.
CREATE FUNCTION nodeai.depth_of_call() RETURNS integer
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = '' AS $$
  SELECT coalesce((SELECT x.depth + 1 FROM public.execution_queue x
    WHERE x.id = nullif(nodeai.claims() ->> 'execution_id', '')::uuid), 0)
$$;
SELECT nodeai.expose('nodeai.depth_of_call()', '{authenticated,service_role}');

-- As before; a run that a run begins knows its depth, and none is begun more than five deep ("too_deep").
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
  d public.deployments;
  workflow jsonb;
  begun jsonb;
BEGIN
  IF earlier IS NOT NULL THEN
    RETURN earlier;
  ELSIF deep > 5 THEN
    RETURN '{"outcome":"too_deep"}';
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
  RETURN begun || jsonb_build_object('environment', d.environment);
EXCEPTION WHEN insufficient_privilege THEN
  RETURN '{"outcome":"forbidden"}';
END
$$;
