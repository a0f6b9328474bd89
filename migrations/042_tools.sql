-- Tools that are called: what each offers is kept with it, for the list, for calls and for the MCP server.

ALTER TABLE public.tools
  ADD COLUMN functions jsonb NOT NULL DEFAULT '[]' CONSTRAINT tools_functions_list CHECK (jsonb_typeof(functions) = 'array'),
  ADD COLUMN functions_at timestamptz,
  ADD COLUMN left_out jsonb NOT NULL DEFAULT '[]' CONSTRAINT tools_left_out_list CHECK (jsonb_typeof(left_out) = 'array'),
  ADD COLUMN document jsonb,
  ADD COLUMN protocol text CONSTRAINT tools_protocol_length CHECK (char_length(protocol) <= 20),
  ADD COLUMN limits jsonb NOT NULL DEFAULT '{}' CONSTRAINT tools_limits_object CHECK (jsonb_typeof(limits) = 'object');
UPDATE nodeai.writable_tables
  SET insertable = insertable || '{functions,functions_at,left_out,document,protocol,limits}'::text[],
    updatable = updatable || '{functions,functions_at,left_out,document,protocol,limits}'::text[]
  WHERE table_name = 'tools';
GRANT INSERT (functions, functions_at, left_out, document, protocol, limits) ON public.tools TO authenticated, service_role;
GRANT UPDATE (functions, functions_at, left_out, document, protocol, limits) ON public.tools TO authenticated, service_role;

-- As before, and of what a tool offers the audit log has a digest too: a document can have megabytes.
CREATE OR REPLACE FUNCTION nodeai.audit_view(seen jsonb) RETURNS jsonb LANGUAGE sql STABLE
  RETURN (SELECT coalesce(jsonb_object_agg(k, CASE WHEN k IN ('definition', 'document', 'functions', 'left_out') AND v <> 'null'
      THEN jsonb_build_object('sha256', encode(sha256(convert_to(v::text, 'UTF8')), 'hex')) ELSE v END), '{}')
    FROM jsonb_each(seen) AS e(k, v)
    WHERE k NOT IN ('id', 'org_id', 'version', 'created_at', 'created_by', 'updated_at', 'deleted_at')
      AND k !~ '(ciphertext|wrapped_key|nonce|_hash)$');

-- {"id","kind","row","expect_version"?}: all of a tool but its kind, which stays what it is.
CREATE FUNCTION nodeai.do_tool_replace(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  args jsonb := p -> 'args';
  this public.tools;
  version integer;
BEGIN
  SELECT * INTO this FROM public.tools t WHERE t.org_id = org AND t.id = (args ->> 'id')::uuid;
  IF this.id IS NULL THEN
    RAISE EXCEPTION 'no such tool' USING ERRCODE = 'NA404';
  ELSIF this.kind <> args ->> 'kind' THEN
    RAISE EXCEPTION 'a tool keeps its kind, which is %', this.kind USING ERRCODE = 'NA409';
  END IF;
  version := nodeai.change_row('tools', 'update', this.id, org, args -> 'row', (args ->> 'expect_version')::integer);
  RETURN jsonb_build_object('version', version,
    'body', nodeai.row_now('tools', this.id, org) - '{org_id,created_by,functions,document,left_out,input_schema,output_schema}'::text[],
    'changes', jsonb_build_object('before', jsonb_build_object('name', this.name, 'config', this.config),
      'after', jsonb_build_object('name', args #> '{row,name}', 'config', args #> '{row,config}')));
END
$$;
SELECT nodeai.expose('nodeai.do_tool_replace(uuid, jsonb)', '{authenticated,service_role}');

-- What a tool's other side says that it offers, kept until it is asked again; no change of the tool, so that its version stays.
-- {"org_id","id","version","functions","left_out","protocol"?} → {"kept"}: not for viewers, nor where the tool has changed.
CREATE FUNCTION public.tool_learned(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
BEGIN
  UPDATE public.tools t SET functions = p -> 'functions', left_out = p -> 'left_out', protocol = p ->> 'protocol', functions_at = now()
    WHERE t.org_id = (p ->> 'org_id')::uuid AND t.id = (p ->> 'id')::uuid AND t.version = (p ->> 'version')::integer;
  RETURN jsonb_build_object('kept', FOUND);
END
$$;
SELECT nodeai.expose('public.tool_learned(jsonb)', '{authenticated}');

-- What the caller's MCP server offers, by name: active deployments as `workflow__<slug>` (`__<environment>` behind it unless it is
-- prod), functions as their tool, operations as `<tool>__<function>`. {"org_id","after"?,"limit"?,"name"?} →
-- [{"name","kind","function"?,"permissions"?,"workflow"?:{"slug","environment","name","description","inputs":[config of its input nodes]}}]
CREATE FUNCTION public.tools_offered(p jsonb) RETURNS jsonb
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = '' AS $$
  WITH offered AS (
    SELECT 'workflow__' || d.slug || CASE d.environment WHEN 'prod' THEN '' ELSE '__' || d.environment END AS name,
      'workflow' AS kind, d.id, NULL::jsonb AS function
    FROM public.deployments d WHERE d.org_id = (p ->> 'org_id')::uuid AND d.status = 'active'
    UNION ALL
    SELECT CASE t.kind WHEN 'function' THEN t.name ELSE t.name || '__' || (f ->> 'name') END, t.kind, t.id, f - 'operation'
    FROM public.tools t CROSS JOIN LATERAL jsonb_array_elements(t.functions) f
    WHERE t.org_id = (p ->> 'org_id')::uuid AND t.enabled AND t.kind IN ('function', 'openapi')
  ), page AS (
    SELECT o.* FROM offered o
    WHERE (p ->> 'name' IS NULL OR o.name = p ->> 'name') AND o.name COLLATE "C" > coalesce(p ->> 'after', '')
    ORDER BY o.name COLLATE "C" LIMIT least(coalesce((p ->> 'limit')::integer, 50), 200)
  )
  SELECT coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object('name', g.name, 'kind', g.kind)) || jsonb_build_object(
      'function', g.function, 'permissions', t.permissions,
      'workflow', CASE WHEN w.found IS NOT NULL THEN jsonb_build_object('slug', d.slug, 'environment', d.environment,
        'name', w.found -> 'name', 'description', (SELECT x.description FROM public.workflows x WHERE x.id = d.workflow_id),
        'inputs', jsonb_path_query_array(w.found -> 'definition', '$.nodes[*] ? (@.type == "input").data')) END)
      ORDER BY g.name COLLATE "C"), '[]')
  FROM page g
  LEFT JOIN public.tools t ON t.id = g.id AND g.kind <> 'workflow'
  LEFT JOIN public.deployments d ON d.id = g.id AND g.kind = 'workflow'
  LEFT JOIN LATERAL (SELECT nodeai.runnable(d.workflow_id, d.workflow_version) AS found) w ON d.id IS NOT NULL
$$;
SELECT nodeai.expose('public.tools_offered(jsonb)', '{authenticated}');
SELECT nodeai.allow_call(fn) FROM unnest(ARRAY['tool_learned', 'tools_offered']) fn;
