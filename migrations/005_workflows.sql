-- Workflows, their versions and shares.

CREATE TABLE public.workflows (
  id uuid PRIMARY KEY,
  org_id uuid NOT NULL CONSTRAINT workflows_org REFERENCES public.organizations (id) ON DELETE CASCADE,
  name text NOT NULL CONSTRAINT workflows_name_length CHECK (char_length(name) BETWEEN 1 AND 200),
  description text CONSTRAINT workflows_description_length CHECK (char_length(description) <= 10000),
  definition jsonb NOT NULL CONSTRAINT workflows_definition_object CHECK (jsonb_typeof(definition) = 'object'),
  tags text[] NOT NULL DEFAULT '{}' CONSTRAINT workflows_tags_count CHECK (cardinality(tags) <= 50),
  folder text CONSTRAINT workflows_folder_length CHECK (char_length(folder) <= 500),
  settings jsonb NOT NULL DEFAULT '{}',
  archived_at timestamptz,
  deleted_at timestamptz,
  version integer NOT NULL DEFAULT 1,
  created_by uuid,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX workflows_org_idx ON public.workflows (org_id, id DESC) WHERE deleted_at IS NULL;
CREATE INDEX workflows_updated_idx ON public.workflows (org_id, updated_at DESC, id DESC) WHERE deleted_at IS NULL;
CREATE INDEX workflows_name_idx ON public.workflows (org_id, lower(name), id) WHERE deleted_at IS NULL;
CREATE INDEX workflows_folder_idx ON public.workflows (org_id, folder) WHERE folder IS NOT NULL AND deleted_at IS NULL;
CREATE INDEX workflows_deleted_idx ON public.workflows (deleted_at) WHERE deleted_at IS NOT NULL;

-- Every save is a version; `number` equals the workflow's `version` of that save.
CREATE TABLE public.workflow_versions (
  workflow_id uuid NOT NULL CONSTRAINT workflow_versions_workflow REFERENCES public.workflows (id) ON DELETE CASCADE,
  number integer NOT NULL CONSTRAINT workflow_versions_number CHECK (number > 0),
  org_id uuid NOT NULL,
  definition jsonb NOT NULL CONSTRAINT workflow_versions_definition_object CHECK (jsonb_typeof(definition) = 'object'),
  message text CONSTRAINT workflow_versions_message_length CHECK (char_length(message) <= 2000),
  author uuid,
  parent integer,
  created_by uuid,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (workflow_id, number)
);
CREATE INDEX workflow_versions_org_idx ON public.workflow_versions (org_id, created_at DESC);

-- A share is for a user or for whoever has a link's token; it may end.
CREATE TABLE public.workflow_shares (
  id uuid PRIMARY KEY,
  org_id uuid NOT NULL,
  workflow_id uuid NOT NULL CONSTRAINT workflow_shares_workflow REFERENCES public.workflows (id) ON DELETE CASCADE,
  user_id uuid,
  token_hash text CONSTRAINT workflow_shares_token_unique UNIQUE,
  role text NOT NULL DEFAULT 'viewer' CONSTRAINT workflow_shares_role CHECK (role IN ('viewer', 'editor')),
  expires_at timestamptz,
  version integer NOT NULL DEFAULT 1,
  created_by uuid,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT workflow_shares_with_whom CHECK ((user_id IS NULL) <> (token_hash IS NULL)),
  CONSTRAINT workflow_shares_link_reads_only CHECK (token_hash IS NULL OR role = 'viewer')
);
CREATE UNIQUE INDEX workflow_shares_user_unique ON public.workflow_shares (user_id, workflow_id) WHERE user_id IS NOT NULL;
CREATE INDEX workflow_shares_workflow_idx ON public.workflow_shares (workflow_id);
CREATE INDEX workflow_shares_org_idx ON public.workflow_shares (org_id);

-- The workflows that others share with the caller.
CREATE FUNCTION nodeai.shared_workflows(least_role text) RETURNS uuid[]
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  caller uuid := nullif(nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub', '')::uuid;
BEGIN
  RETURN ARRAY(
    SELECT s.workflow_id FROM public.workflow_shares s
    WHERE s.user_id = caller AND (s.expires_at IS NULL OR s.expires_at > now())
      AND (least_role = 'viewer' OR s.role = 'editor'));
END
$$;
SELECT nodeai.expose('nodeai.shared_workflows(text)', '{authenticated,service_role}');

SELECT nodeai.tenant_table('public.workflows');
CREATE POLICY share_reads ON public.workflows FOR SELECT TO authenticated
  USING (id = ANY ((SELECT nodeai.shared_workflows('viewer'))::uuid[]));
CREATE POLICY share_updates ON public.workflows FOR UPDATE TO authenticated
  USING (deleted_at IS NULL AND id = ANY ((SELECT nodeai.shared_workflows('editor'))::uuid[]))
  WITH CHECK (deleted_at IS NULL AND id = ANY ((SELECT nodeai.shared_workflows('editor'))::uuid[]));

SELECT nodeai.tenant_table('public.workflow_versions');
CREATE POLICY share_reads ON public.workflow_versions FOR SELECT TO authenticated
  USING (workflow_id = ANY ((SELECT nodeai.shared_workflows('viewer'))::uuid[]));
CREATE POLICY share_inserts ON public.workflow_versions FOR INSERT TO authenticated
  WITH CHECK (workflow_id = ANY ((SELECT nodeai.shared_workflows('editor'))::uuid[]));

SELECT nodeai.tenant_table('public.workflow_shares');

-- Neither a share nor a mistake can hang a version or a share on another tenant's workflow.
SELECT nodeai.belongs_to('public.workflow_versions', 'workflows', 'workflow_id');
SELECT nodeai.belongs_to('public.workflow_shares', 'workflows', 'workflow_id');

SELECT nodeai.allow_write('workflows',
  '{name,description,definition,tags,folder,settings,archived_at,created_at,updated_at}',
  '{name,description,definition,tags,folder,settings,archived_at,updated_at}');
SELECT nodeai.allow_write('workflow_versions', '{workflow_id,number,definition,message,author,parent}', '{}', false);
SELECT nodeai.allow_write('workflow_shares', '{workflow_id,user_id,token_hash,role,expires_at}', '{role,expires_at}');

-- What a link shows: {"workflow": …} or null. `p` is {"token_hash"}; the guest hashes the token.
CREATE FUNCTION nodeai.open_share(token text) RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
  SELECT jsonb_build_object('workflow', jsonb_build_object(
    'id', w.id, 'name', w.name, 'description', w.description, 'version', w.version, 'definition', w.definition))
  FROM public.workflow_shares s JOIN public.workflows w ON w.id = s.workflow_id AND w.deleted_at IS NULL
  WHERE s.token_hash = token AND (s.expires_at IS NULL OR s.expires_at > now())
$$;
SELECT nodeai.expose('nodeai.open_share(text)', '{anon,authenticated,service_role}');

CREATE FUNCTION public.share_open(p jsonb) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = '' AS $$ SELECT nodeai.open_share(p ->> 'token_hash') $$;
SELECT nodeai.expose('public.share_open(jsonb)', '{anon,authenticated,service_role}');
