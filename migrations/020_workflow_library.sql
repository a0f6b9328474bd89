-- The library of workflows: versions of every save, shares, folders, copies, the archive.

-- Every save is a version --------------------------------------------------------------------------------------------

-- A version that comes without a document is a save that did not change it: it has the workflow's own.
CREATE FUNCTION nodeai.fill_version() RETURNS trigger
LANGUAGE plpgsql SECURITY INVOKER SET search_path = '' AS $$
BEGIN
  IF NEW.definition IS NULL THEN
    SELECT w.definition INTO NEW.definition FROM public.workflows w WHERE w.id = NEW.workflow_id;
  END IF;
  RETURN NEW;
END
$$;
SELECT nodeai.expose('nodeai.fill_version()', '{}');
CREATE TRIGGER fill BEFORE INSERT ON public.workflow_versions
  FOR EACH ROW EXECUTE FUNCTION nodeai.fill_version();

-- Lists are ordered by creation, change or name.
CREATE INDEX workflows_created_idx ON public.workflows (org_id, created_at DESC, id DESC) WHERE deleted_at IS NULL;
DROP INDEX public.workflows_name_idx;
CREATE INDEX workflows_name_idx ON public.workflows (org_id, name, id) WHERE deleted_at IS NULL;

-- The organisation of a workflow that is `own`'s or that is shared with the caller; null when it is neither.
CREATE FUNCTION nodeai.workflow_home(workflow uuid, own uuid) RETURNS uuid
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = '' AS $$
  SELECT w.org_id FROM public.workflows w
  WHERE w.id = workflow AND w.deleted_at IS NULL
    AND (w.org_id = own OR w.id = ANY ((SELECT nodeai.shared_workflows('viewer'))::uuid[]))
$$;
SELECT nodeai.expose('nodeai.workflow_home(uuid, uuid)', '{authenticated,service_role}');

-- What a list shows of a workflow.
CREATE FUNCTION nodeai.workflow_brief(w public.workflows) RETURNS jsonb LANGUAGE sql STABLE
  RETURN jsonb_build_object('id', w.id, 'name', w.name, 'description', w.description, 'version', w.version,
    'tags', w.tags, 'folder', w.folder, 'archived_at', w.archived_at, 'created_by', w.created_by,
    'created_at', w.created_at, 'updated_at', w.updated_at);
SELECT nodeai.expose('nodeai.workflow_brief(public.workflows)', '{authenticated,service_role}');

-- A workflow, own or shared, at some of its versions (null: the current one; below 1: so many before it):
-- {"id","org_id","numbers"} →
-- {"workflow" (as a list shows it), "role" (of the share; null for an own one), "versions": {number: version}} or null.
CREATE FUNCTION public.workflow_at(p jsonb) RETURNS jsonb
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
        'message', v.message, 'author', v.author, 'parent', v.parent, 'created_at', v.created_at)), '{}')
      FROM public.workflow_versions v
      WHERE v.workflow_id = w.id AND v.number IN (
        SELECT CASE WHEN n::integer < 1 THEN w.version + n::integer ELSE coalesce(n::integer, w.version) END
        FROM jsonb_array_elements_text(p -> 'numbers') n)));
END
$$;
SELECT nodeai.expose('public.workflow_at(jsonb)', '{authenticated,service_role}');
SELECT nodeai.allow_call('workflow_at');

-- The versions of a workflow, newest first, without their documents: {"id","org_id","before","limit"} → a list, or null
-- when there is no such workflow.
CREATE FUNCTION public.workflow_history(p jsonb) RETURNS jsonb
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
    FROM (SELECT v.number, v.message, v.author, v.parent, v.created_at FROM public.workflow_versions v
          WHERE v.workflow_id = (p ->> 'id')::uuid AND (before IS NULL OR v.number < before)
          ORDER BY v.number DESC LIMIT (p ->> 'limit')::integer) page);
END
$$;
SELECT nodeai.expose('public.workflow_history(jsonb)', '{authenticated,service_role}');
SELECT nodeai.allow_call('workflow_history');

-- Folders with what is in them, the archive left out: {"org_id"} → [{"folder" (null: in none), "count"}].
CREATE FUNCTION public.workflow_folders(p jsonb) RETURNS jsonb
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = '' AS $$
  SELECT coalesce(jsonb_agg(jsonb_build_object('folder', f.folder, 'count', f.n) ORDER BY f.folder NULLS FIRST), '[]')
  FROM (SELECT w.folder, count(*) AS n FROM public.workflows w
        WHERE w.org_id = coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid
          AND w.deleted_at IS NULL AND w.archived_at IS NULL
        GROUP BY w.folder) f
$$;
SELECT nodeai.expose('public.workflow_folders(jsonb)', '{authenticated,service_role}');
SELECT nodeai.allow_call('workflow_folders');

-- Writes (bodies of public.command) ----------------------------------------------------------------------------------

-- The owner's audit log hears of what an editor by share did; the frame writes into the caller's own.
CREATE FUNCTION nodeai.audit_guest(home uuid, workflow uuid, entry jsonb) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  claims jsonb := nullif(current_setting('request.jwt.claims', true), '')::jsonb;
BEGIN
  IF NOT (workflow = ANY (nodeai.shared_workflows('editor'))
      AND EXISTS (SELECT FROM public.workflows w WHERE w.id = workflow AND w.org_id = home)) THEN
    RAISE EXCEPTION 'not shared' USING ERRCODE = 'insufficient_privilege';
  END IF;
  PERFORM nodeai.append_audit(home, nullif(claims ->> 'sub', '')::uuid, nullif(claims ->> 'key_id', '')::uuid, entry);
END
$$;
SELECT nodeai.expose('nodeai.audit_guest(uuid, uuid, jsonb)', '{authenticated,service_role}');

-- Changes a workflow, own or shared: "args" are those of public.write without table and op.
CREATE FUNCTION nodeai.do_save_workflow(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  workflow uuid := (p -> 'args' ->> 'id')::uuid;
  home uuid := nodeai.workflow_home(workflow, org);
  entry jsonb := nullif(p -> 'audit', 'null');
  done jsonb;
BEGIN
  IF home IS NULL THEN
    RAISE EXCEPTION 'missing' USING ERRCODE = 'NA404';
  END IF;
  done := nodeai.do_write(home, (p -> 'args') || '{"table":"workflows","op":"update"}');
  IF home <> org AND entry IS NOT NULL THEN
    PERFORM nodeai.audit_guest(home, workflow, entry || jsonb_build_object('details',
      coalesce(nullif(entry -> 'details', 'null'), '{}') || (done -> 'changes')));
  END IF;
  RETURN done;
END
$$;
SELECT nodeai.expose('nodeai.do_save_workflow(uuid, jsonb)', '{authenticated,service_role}');

-- A new version with the document of version "args.number"; the rest as in do_save_workflow.
CREATE FUNCTION nodeai.do_restore_workflow(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  workflow uuid := (p -> 'args' ->> 'id')::uuid;
  old jsonb;
BEGIN
  IF nodeai.workflow_home(workflow, org) IS NULL THEN
    RAISE EXCEPTION 'missing' USING ERRCODE = 'NA404';
  END IF;
  SELECT v.definition INTO old FROM public.workflow_versions v
    WHERE v.workflow_id = workflow AND v.number = (p -> 'args' ->> 'number')::integer;
  IF old IS NULL THEN
    RAISE EXCEPTION 'the workflow has no version %', p -> 'args' ->> 'number' USING ERRCODE = 'NA409';
  END IF;
  RETURN nodeai.do_save_workflow(org, jsonb_set(p, '{args,row,definition}', old));
END
$$;
SELECT nodeai.expose('nodeai.do_restore_workflow(uuid, jsonb)', '{authenticated,service_role}');

-- A copy of a workflow, own or shared, as a new one of the caller's organisation:
-- "args" {"id","new_id","name"?,"folder"?,"message"?,"at","author","returning"}.
CREATE FUNCTION nodeai.do_duplicate_workflow(org uuid, p jsonb) RETURNS jsonb
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
      'message', coalesce(args ->> 'message', format('Copy of %s, version %s', w.id, w.version)))))));
END
$$;
SELECT nodeai.expose('nodeai.do_duplicate_workflow(uuid, jsonb)', '{authenticated,service_role}');

-- Makes, changes or ends a share of an own workflow: "args" are those of public.write without table, and "workflow_id".
CREATE FUNCTION nodeai.do_share_workflow(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  args jsonb := p -> 'args';
  workflow uuid := (args ->> 'workflow_id')::uuid;
BEGIN
  IF NOT EXISTS (SELECT FROM public.workflows w WHERE w.id = workflow AND w.org_id = org AND w.deleted_at IS NULL)
     OR args ->> 'op' <> 'insert' AND NOT EXISTS (
       SELECT FROM public.workflow_shares s WHERE s.id = (args ->> 'id')::uuid AND s.workflow_id = workflow) THEN
    RAISE EXCEPTION 'missing' USING ERRCODE = 'NA404';
  END IF;
  RETURN nodeai.do_write(org, args || '{"table":"workflow_shares"}');
END
$$;
SELECT nodeai.expose('nodeai.do_share_workflow(uuid, jsonb)', '{authenticated,service_role}');

-- Shares -------------------------------------------------------------------------------------------------------------

-- The shares of an own workflow, newest first: {"id","org_id","before","limit"} → a list, or null when there is no such
-- workflow.
CREATE FUNCTION public.workflow_shares_of(p jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  own uuid := coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  before uuid := (p ->> 'before')::uuid;
BEGIN
  IF nodeai.workflow_home((p ->> 'id')::uuid, own) IS DISTINCT FROM own THEN
    RETURN NULL;
  END IF;
  RETURN (
    SELECT coalesce(jsonb_agg(to_jsonb(page) ORDER BY page.id DESC), '[]')
    FROM (SELECT s.id, s.user_id, s.role, s.expires_at, s.version, s.created_by, s.created_at, s.updated_at
          FROM public.workflow_shares s
          WHERE s.workflow_id = (p ->> 'id')::uuid AND s.org_id = own AND (before IS NULL OR s.id < before)
          ORDER BY s.id DESC LIMIT (p ->> 'limit')::integer) page);
END
$$;
SELECT nodeai.expose('public.workflow_shares_of(jsonb)', '{authenticated,service_role}');
SELECT nodeai.allow_call('workflow_shares_of');

-- Shares with the caller that hold, newest first. Privileged: whom else a workflow is shared with stays its owner's.
CREATE FUNCTION nodeai.own_shares(before uuid, most integer)
RETURNS TABLE (id uuid, workflow_id uuid, role text, expires_at timestamptz, created_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
  SELECT s.id, s.workflow_id, s.role, s.expires_at, s.created_at
  FROM public.workflow_shares s JOIN public.workflows w ON w.id = s.workflow_id AND w.deleted_at IS NULL
  WHERE s.user_id = (SELECT auth.uid()) AND (s.expires_at IS NULL OR s.expires_at > now())
    AND (before IS NULL OR s.id < before)
  ORDER BY s.id DESC LIMIT most
$$;
SELECT nodeai.expose('nodeai.own_shares(uuid, integer)', '{authenticated,service_role}');

-- What others share with the caller: {"before","limit"} → [{"share_id","role","expires_at","shared_at","workflow"}].
CREATE FUNCTION public.workflows_shared(p jsonb) RETURNS jsonb
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = '' AS $$
  SELECT coalesce(jsonb_agg(jsonb_build_object('share_id', s.id, 'role', s.role, 'expires_at', s.expires_at,
    'shared_at', s.created_at, 'workflow', nodeai.workflow_brief(w)) ORDER BY s.id DESC), '[]')
  FROM nodeai.own_shares((p ->> 'before')::uuid, (p ->> 'limit')::integer) s
  JOIN public.workflows w ON w.id = s.workflow_id
$$;
SELECT nodeai.expose('public.workflows_shared(jsonb)', '{authenticated,service_role}');
SELECT nodeai.allow_call('workflows_shared');

-- What a link shows to whoever has it: {"token_hash","ip"} → {"rate", "workflow" (null: no such link)}. Visitors have no
-- bucket of their own, so their address has one.
DROP FUNCTION nodeai.open_share(text);
CREATE FUNCTION nodeai.open_share(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  rate jsonb := nodeai.bucket_take(md5('link ' || coalesce(p ->> 'ip', ''))::uuid, 'links', 300, 100,
    nodeai.to_us(clock_timestamp()), 1, true);
  shown jsonb;
BEGIN
  IF (rate ->> 'admitted')::boolean THEN
    SELECT jsonb_build_object('id', w.id, 'name', w.name, 'description', w.description, 'version', w.version,
        'definition', w.definition)
      INTO shown
      FROM public.workflow_shares s JOIN public.workflows w ON w.id = s.workflow_id AND w.deleted_at IS NULL
      WHERE s.token_hash = p ->> 'token_hash' AND (s.expires_at IS NULL OR s.expires_at > now());
  END IF;
  RETURN jsonb_build_object('workflow', shown, 'rate', rate || jsonb_build_object('policies', jsonb_build_array(
    jsonb_build_object('policy', rate -> 'policy', 'limit', rate -> 'limit', 'window_s', rate -> 'window_s'))));
END
$$;
SELECT nodeai.expose('nodeai.open_share(jsonb)', '{anon,authenticated,service_role}');

CREATE OR REPLACE FUNCTION public.share_open(p jsonb) RETURNS jsonb
LANGUAGE sql VOLATILE SET search_path = '' AS $$ SELECT nodeai.open_share(p) $$;

-- The archive --------------------------------------------------------------------------------------------------------

-- As before, and it says when the workflow is in the archive: such a one does not run.
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
      || CASE WHEN w.archived_at IS NULL THEN '{}'::jsonb ELSE '{"archived":true}' END
    INTO found
    FROM public.workflows w
    LEFT JOIN public.workflow_versions v ON v.workflow_id = w.id AND v.number = wanted
    WHERE w.id = workflow AND w.deleted_at IS NULL
      AND (w.version = coalesce(wanted, w.version) OR v.number IS NOT NULL);
  RETURN found;
END
$$;
