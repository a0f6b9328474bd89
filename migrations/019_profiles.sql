-- Profiles, settings, organisations, members and invitations.

-- Everybody looks after what is their own, whatever their role is.
CREATE OR REPLACE FUNCTION nodeai.scopes_of(member_role text) RETURNS text[]
LANGUAGE sql IMMUTABLE
  RETURN CASE member_role
    WHEN 'owner' THEN ARRAY['*'] WHEN 'admin' THEN ARRAY['*']
    WHEN 'editor' THEN ARRAY['*:read', '*:write', '*:run', 'profiles:own']
    ELSE ARRAY['*:read', 'profiles:own'] END;

-- The caller's profile with all organisations: {"id","email",…,"settings","organizations":[{id,name,slug,kind,role}]}.
CREATE FUNCTION nodeai.own_profile() RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
  SELECT to_jsonb(p) || jsonb_build_object('organizations', (
    SELECT coalesce(jsonb_agg(jsonb_build_object('id', o.id, 'name', o.name, 'slug', o.slug, 'kind', o.kind,
      'role', m.role) ORDER BY o.id), '[]')
    FROM public.organization_members m JOIN public.organizations o ON o.id = m.org_id WHERE m.user_id = p.id))
  FROM public.profiles p WHERE p.id = (SELECT auth.uid())
$$;
SELECT nodeai.expose('nodeai.own_profile()', '{authenticated}');

CREATE FUNCTION public.profile_get(p jsonb) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = '' AS $$ SELECT nodeai.own_profile() $$;
SELECT nodeai.expose('public.profile_get(jsonb)', '{authenticated}');

-- Changes the own profile. {"patch":{display_name?, avatar_url?, default_org_id?},"settings":{key: value or null}?,
-- "replace_settings":bool?,"expect_version"?}. A setting is replaced whole, null removes it.
CREATE FUNCTION nodeai.do_update_profile(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  args jsonb := p -> 'args';
  patch jsonb := coalesce(args -> 'patch', '{}');
  given jsonb := nullif(args -> 'settings', 'null');
  expected integer := (args ->> 'expect_version')::integer;
  me public.profiles;
  was jsonb;
BEGIN
  SELECT * INTO me FROM public.profiles x WHERE x.id = auth.uid() FOR UPDATE;
  IF me.id IS NULL THEN
    RAISE EXCEPTION 'missing' USING ERRCODE = 'NA404';
  ELSIF expected IS NOT NULL AND me.version <> expected THEN
    RAISE EXCEPTION 'stale' USING ERRCODE = 'NA412', DETAIL = me.version::text;
  ELSIF patch ? 'default_org_id' AND NOT EXISTS (SELECT FROM public.organization_members m
      WHERE m.user_id = me.id AND m.org_id = (patch ->> 'default_org_id')::uuid) THEN
    RAISE EXCEPTION 'default_org_id must be one of the own organisations' USING ERRCODE = 'NA409';
  END IF;
  was := jsonb_build_object('display_name', me.display_name, 'avatar_url', me.avatar_url,
    'default_org_id', me.default_org_id);
  IF given IS NOT NULL THEN
    me.settings := jsonb_strip_nulls(CASE WHEN (args ->> 'replace_settings')::boolean THEN given
                                          ELSE me.settings || given END);
  END IF;
  UPDATE public.profiles x SET
    display_name = CASE WHEN patch ? 'display_name' THEN patch ->> 'display_name' ELSE x.display_name END,
    avatar_url = CASE WHEN patch ? 'avatar_url' THEN patch ->> 'avatar_url' ELSE x.avatar_url END,
    default_org_id = CASE WHEN patch ? 'default_org_id' THEN (patch ->> 'default_org_id')::uuid ELSE x.default_org_id END,
    settings = me.settings, version = x.version + 1, updated_at = clock_timestamp()
    WHERE x.id = me.id RETURNING * INTO me;
  RETURN jsonb_build_object('version', me.version, 'body', nodeai.own_profile(),
    'changes', jsonb_build_object('before', nodeai.some_of(was, (SELECT coalesce(jsonb_agg(k), '[]')
        FROM jsonb_object_keys(patch) k)), 'after', patch,
      'settings', (SELECT coalesce(jsonb_agg(k), '[]') FROM jsonb_object_keys(coalesce(given, '{}')) k)));
END
$$;
SELECT nodeai.expose('nodeai.do_update_profile(uuid, jsonb)', '{authenticated}');

-- A team of the caller's own: {"id","name","slug"?}. It costs nothing and gives no rights over anybody else.
CREATE FUNCTION nodeai.do_create_organization(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  args jsonb := p -> 'args';
  made uuid := (args ->> 'id')::uuid;
BEGIN
  IF (SELECT count(*) FROM public.organizations o WHERE o.created_by = auth.uid()) >= 100 THEN
    RAISE EXCEPTION 'one user makes at most 100 organisations' USING ERRCODE = 'NA409';
  END IF;
  INSERT INTO public.organizations (id, name, slug, kind, created_by)
    VALUES (made, args ->> 'name', args ->> 'slug', 'team', auth.uid());
  INSERT INTO public.organization_members (org_id, user_id, role, created_by)
    VALUES (made, auth.uid(), 'owner', auth.uid());
  RETURN jsonb_build_object('body', jsonb_build_object('id', made, 'name', args ->> 'name', 'slug', args ->> 'slug',
    'kind', 'team', 'role', 'owner'));
END
$$;
SELECT nodeai.expose('nodeai.do_create_organization(uuid, jsonb)', '{authenticated}');

-- The members of the caller's organisation, oldest first: {"org_id","after"?,"limit"} → [{id, user_id, role, email, …}].
CREATE FUNCTION public.members_list(p jsonb) RETURNS jsonb
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = '' AS $$
  SELECT coalesce(jsonb_agg(to_jsonb(r) ORDER BY r.id), '[]') FROM (
    SELECT m.id, m.user_id, m.role, m.version, m.created_at, u.email, u.display_name, u.avatar_url
    FROM public.organization_members m JOIN public.profiles u ON u.id = m.user_id
    WHERE m.org_id = coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid
      AND (p ->> 'after' IS NULL OR m.id > (p ->> 'after')::uuid)
    ORDER BY m.id LIMIT (p ->> 'limit')::integer) r
$$;
SELECT nodeai.expose('public.members_list(jsonb)', '{authenticated}');

-- Joins the organisation of an invitation. {"token_hash"}. The invitation is for one address and for one use; its audit
-- row belongs to the organisation that was joined.
CREATE FUNCTION nodeai.do_accept_invitation(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  i public.invitations;
  me public.profiles;
BEGIN
  SELECT * INTO i FROM public.invitations x WHERE x.token_hash = p -> 'args' ->> 'token_hash' FOR UPDATE;
  SELECT * INTO me FROM public.profiles x WHERE x.id = auth.uid();
  IF i.id IS NULL OR me.id IS NULL THEN
    RAISE EXCEPTION 'missing' USING ERRCODE = 'NA404';
  ELSIF i.accepted_at IS NOT NULL OR i.expires_at <= clock_timestamp() THEN
    RAISE EXCEPTION 'this invitation was used or has expired' USING ERRCODE = 'NA409';
  ELSIF lower(i.email) IS DISTINCT FROM lower(me.email) THEN
    RAISE EXCEPTION 'this invitation is for another e-mail address' USING ERRCODE = 'NA409';
  ELSIF EXISTS (SELECT FROM public.organization_members m WHERE m.org_id = i.org_id AND m.user_id = me.id) THEN
    RAISE EXCEPTION 'already a member of this organisation' USING ERRCODE = 'NA409';
  END IF;
  INSERT INTO public.organization_members (org_id, user_id, role, created_by)
    VALUES (i.org_id, me.id, i.role, i.created_by);
  UPDATE public.invitations x SET accepted_at = clock_timestamp(), accepted_by = me.id, version = x.version + 1
    WHERE x.id = i.id;
  PERFORM nodeai.append_audit(i.org_id, me.id, nullif(nodeai.claims() ->> 'key_id', '')::uuid, jsonb_build_object(
    'action', 'invitation.accepted', 'resource_type', 'invitation', 'resource_id', i.id,
    'request_id', p -> 'args' ->> 'request_id', 'details', jsonb_build_object('role', i.role)));
  RETURN jsonb_build_object('body', (SELECT jsonb_build_object('id', o.id, 'name', o.name, 'slug', o.slug,
    'kind', o.kind, 'role', i.role) FROM public.organizations o WHERE o.id = i.org_id));
END
$$;
SELECT nodeai.expose('nodeai.do_accept_invitation(uuid, jsonb)', '{authenticated}');

SELECT nodeai.allow_call('profile_get'), nodeai.allow_call('members_list');
CREATE INDEX organizations_created_by_idx ON public.organizations (created_by);
