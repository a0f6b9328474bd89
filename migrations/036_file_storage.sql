-- Files in use: uploads that are reserved, written and finished; quotas; links that expire; what was deleted goes away.
--
-- Bytes are kept by one of three backends. The built-in one keeps them here, as rows of at most a megabyte; the others keep
-- them elsewhere, and here only what is not yet a whole part of theirs (the spool). Whoever writes bytes goes through the
-- functions below: size, hash and quota cannot be claimed, only earned.

-- Tables -------------------------------------------------------------------------------------------------------------

ALTER TABLE public.files
  ADD COLUMN tags text[] NOT NULL DEFAULT '{}' CONSTRAINT files_tags_count CHECK (cardinality(tags) <= 50);
ALTER TABLE public.file_uploads
  ADD COLUMN tags text[] NOT NULL DEFAULT '{}' CONSTRAINT file_uploads_tags_count CHECK (cardinality(tags) <= 50),
  ADD COLUMN folder text CONSTRAINT file_uploads_folder_length CHECK (char_length(folder) <= 500),
  ADD COLUMN object_key text,
  -- Largest size that it may grow to.
  ADD COLUMN most_bytes bigint,
  -- What the quotas hold back for it.
  ADD COLUMN reserved_bytes bigint NOT NULL DEFAULT 0 CONSTRAINT file_uploads_reserved CHECK (reserved_bytes >= 0);
CREATE INDEX files_tags_idx ON public.files USING gin (tags) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX file_chunks_first_byte_unique ON public.file_chunks (org_id, object_id, first_byte);

-- Only the functions below write these; names, folders, tags and metadata can be changed, and files deleted.
UPDATE nodeai.writable_tables SET insertable = '{}', updatable = '{name,folder,tags,metadata}' WHERE table_name = 'files';
DELETE FROM nodeai.writable_tables WHERE table_name = 'file_uploads';
REVOKE INSERT, UPDATE, DELETE ON public.files, public.file_uploads, public.file_chunks FROM authenticated;
GRANT UPDATE (name, folder, tags, metadata, version, updated_at, deleted_at) ON public.files TO authenticated;

-- Links that work without a login until they expire or are removed. Only a token's SHA-256 is kept.
CREATE TABLE public.file_links (
  id uuid PRIMARY KEY,
  org_id uuid NOT NULL CONSTRAINT file_links_org REFERENCES public.organizations (id) ON DELETE CASCADE,
  file_id uuid NOT NULL CONSTRAINT file_links_file REFERENCES public.files (id) ON DELETE CASCADE,
  token_hash text NOT NULL CONSTRAINT file_links_token_unique UNIQUE
    CONSTRAINT file_links_token_format CHECK (token_hash ~ '^[0-9a-f]{64}$'),
  inline boolean NOT NULL DEFAULT false,
  expires_at timestamptz NOT NULL,
  last_used_at timestamptz,
  used_count bigint NOT NULL DEFAULT 0,
  created_by uuid,
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX file_links_file_idx ON public.file_links (org_id, file_id, id DESC);
CREATE INDEX file_links_org_idx ON public.file_links (org_id, id DESC);
CREATE INDEX file_links_file_only_idx ON public.file_links (file_id);
CREATE INDEX file_links_expires_idx ON public.file_links (expires_at);
SELECT nodeai.lock_table('public.file_links');
CREATE POLICY member_reads ON public.file_links FOR SELECT TO authenticated
  USING (org_id = ANY ((SELECT nodeai.orgs_with('viewer'))::uuid[]));
-- The hash is for the database alone.
GRANT SELECT (id, org_id, file_id, inline, expires_at, last_used_at, used_count, created_by, created_at)
  ON public.file_links TO authenticated;
SELECT nodeai.belongs_to('public.file_links', 'files', 'file_id');

-- What an organisation may keep. Its admins set `org_bytes` and `user_bytes`, up to what the operator allows it
-- (`ceiling_bytes`); null is the default of `nodeai.file_limits`.
CREATE TABLE nodeai.file_quotas (
  org_id uuid PRIMARY KEY CONSTRAINT file_quotas_org REFERENCES public.organizations (id) ON DELETE CASCADE,
  ceiling_bytes bigint CONSTRAINT file_quotas_ceiling CHECK (ceiling_bytes >= 0),
  org_bytes bigint CONSTRAINT file_quotas_org_bytes CHECK (org_bytes >= 0),
  user_bytes bigint CONSTRAINT file_quotas_user_bytes CHECK (user_bytes >= 0)
);
SELECT nodeai.lock_table('nodeai.file_quotas');

-- What is kept and held back: per organisation (`user_id` all zeros), and in it per user.
CREATE TABLE nodeai.file_usage (
  org_id uuid NOT NULL CONSTRAINT file_usage_org REFERENCES public.organizations (id) ON DELETE CASCADE,
  user_id uuid NOT NULL,
  bytes bigint NOT NULL CONSTRAINT file_usage_bytes CHECK (bytes >= 0),
  files bigint NOT NULL CONSTRAINT file_usage_files CHECK (files >= 0),
  PRIMARY KEY (org_id, user_id)
) WITH (fillfactor = 50);
SELECT nodeai.lock_table('nodeai.file_usage');

-- Objects of other backends whose row is gone. No organisation: they outlive it.
CREATE TABLE nodeai.file_garbage (
  id uuid PRIMARY KEY,
  backend text NOT NULL,
  object_key text NOT NULL,
  -- An upload that was not finished: how to call it off.
  backend_state jsonb,
  tries integer NOT NULL DEFAULT 0,
  next_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX file_garbage_next_idx ON nodeai.file_garbage (next_at);
SELECT nodeai.lock_table('nodeai.file_garbage');

-- Quotas -------------------------------------------------------------------------------------------------------------

-- The quotas in force: {"org_bytes","user_bytes","ceiling_bytes"}. 10 GiB per organisation unless the operator says otherwise.
CREATE FUNCTION nodeai.file_limits(org uuid) RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
  SELECT jsonb_build_object('ceiling_bytes', c.bytes, 'org_bytes', least(coalesce(q.org_bytes, c.bytes), c.bytes),
    'user_bytes', least(coalesce(q.user_bytes, q.org_bytes, c.bytes), coalesce(q.org_bytes, c.bytes), c.bytes))
  FROM (SELECT 1) one
  LEFT JOIN nodeai.file_quotas q ON q.org_id = org
  CROSS JOIN LATERAL (SELECT coalesce(q.ceiling_bytes, 10737418240) AS bytes) c
$$;
SELECT nodeai.expose('nodeai.file_limits(uuid)', '{}');

-- Adds to one row of the usage. More than `most` is refused: NA507 with {"scope","limit","used"} as detail.
CREATE FUNCTION nodeai.charge_files(org uuid, who uuid, more bigint, n bigint, scope text, most bigint) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  u nodeai.file_usage;
BEGIN
  INSERT INTO nodeai.file_usage AS x VALUES (org, who, greatest(more, 0), greatest(n, 0))
    ON CONFLICT (org_id, user_id) DO UPDATE SET bytes = greatest(x.bytes + more, 0), files = greatest(x.files + n, 0)
    RETURNING * INTO u;
  IF more > 0 AND u.bytes > most THEN
    RAISE EXCEPTION 'quota' USING ERRCODE = 'NA507', DETAIL = jsonb_build_object('scope', scope, 'limit', most,
      'used', u.bytes - more)::text;
  END IF;
  IF u.bytes = 0 AND u.files = 0 THEN
    DELETE FROM nodeai.file_usage x WHERE x.org_id = org AND x.user_id = who;
  END IF;
END
$$;
SELECT nodeai.expose('nodeai.charge_files(uuid, uuid, bigint, bigint, text, bigint)', '{}');

-- What a row of files or file_uploads is charged with: {bytes, files}.
CREATE FUNCTION nodeai.file_charge(tbl text, r jsonb) RETURNS bigint[] LANGUAGE sql IMMUTABLE
  RETURN CASE
    WHEN r IS NULL OR r ->> 'deleted_at' IS NOT NULL THEN ARRAY[0, 0]::bigint[]
    WHEN tbl = 'files' THEN ARRAY[(r ->> 'size_bytes')::bigint, 1]
    ELSE ARRAY[(r ->> 'reserved_bytes')::bigint, 0] END;
SELECT nodeai.expose('nodeai.file_charge(text, jsonb)', '{}');

-- Keeps the usage, and notes objects of other backends that nobody refers to any more. The organisation's row is always
-- locked before a user's.
CREATE FUNCTION nodeai.count_files() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  -- A column that one of the two tables lacks is not named on NEW and OLD.
  was jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END;
  now_is jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END;
  less bigint[] := nodeai.file_charge(TG_TABLE_NAME, was);
  more bigint[] := nodeai.file_charge(TG_TABLE_NAME, now_is);
  org uuid := (coalesce(now_is, was) ->> 'org_id')::uuid;
  nobody constant uuid := '00000000-0000-0000-0000-000000000000';
  old_user uuid := (was ->> 'user_id')::uuid;
  new_user uuid := (now_is ->> 'user_id')::uuid;
  limits jsonb;
BEGIN
  -- With its organisation goes its usage.
  IF (more <> less OR old_user IS DISTINCT FROM new_user)
     AND EXISTS (SELECT FROM public.organizations o WHERE o.id = org) THEN
    limits := nodeai.file_limits(org);
    IF more <> less THEN
      PERFORM nodeai.charge_files(org, nobody, more[1] - less[1], more[2] - less[2], 'organization',
        (limits ->> 'org_bytes')::bigint);
    END IF;
    IF old_user IS NOT DISTINCT FROM new_user THEN
      IF new_user IS NOT NULL THEN
        PERFORM nodeai.charge_files(org, new_user, more[1] - less[1], more[2] - less[2], 'user',
          (limits ->> 'user_bytes')::bigint);
      END IF;
    ELSE
      IF old_user IS NOT NULL AND less <> '{0,0}' THEN
        PERFORM nodeai.charge_files(org, old_user, -less[1], -less[2], 'user', NULL);
      END IF;
      IF new_user IS NOT NULL AND more <> '{0,0}' THEN
        PERFORM nodeai.charge_files(org, new_user, more[1], more[2], 'user', (limits ->> 'user_bytes')::bigint);
      END IF;
    END IF;
  END IF;
  IF TG_OP = 'DELETE' AND was ->> 'backend' <> 'postgres' AND was ->> 'object_key' IS NOT NULL
     AND (TG_TABLE_NAME = 'files' OR NOT EXISTS (SELECT FROM public.files f WHERE f.id = (was ->> 'id')::uuid)) THEN
    INSERT INTO nodeai.file_garbage (id, backend, object_key, backend_state)
      VALUES ((was ->> 'id')::uuid, was ->> 'backend', was ->> 'object_key', was -> 'backend_state')
      ON CONFLICT (id) DO NOTHING;
  END IF;
  RETURN NULL;
END
$$;
SELECT nodeai.expose('nodeai.count_files()', '{}');
CREATE TRIGGER count_files AFTER INSERT OR DELETE OR UPDATE OF size_bytes, deleted_at, user_id ON public.files
  FOR EACH ROW EXECUTE FUNCTION nodeai.count_files();
CREATE TRIGGER count_files AFTER INSERT OR DELETE OR UPDATE OF reserved_bytes, user_id ON public.file_uploads
  FOR EACH ROW EXECUTE FUNCTION nodeai.count_files();

-- {"org_id"?} → {"organization":{"bytes","files","limit"},"user":{…},"ceiling"}: bytes count what unfinished uploads hold back.
CREATE FUNCTION nodeai.file_usage_of(p jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  org uuid := coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  limits jsonb := nodeai.file_limits(org);
BEGIN
  PERFORM nodeai.require_member(org);
  RETURN (SELECT jsonb_build_object(
      'organization', jsonb_build_object('bytes', coalesce(max(u.bytes) FILTER (WHERE u.user_id <> auth.uid()), 0),
        'files', coalesce(max(u.files) FILTER (WHERE u.user_id <> auth.uid()), 0), 'limit', limits -> 'org_bytes'),
      'user', jsonb_build_object('bytes', coalesce(max(u.bytes) FILTER (WHERE u.user_id = auth.uid()), 0),
        'files', coalesce(max(u.files) FILTER (WHERE u.user_id = auth.uid()), 0), 'limit', limits -> 'user_bytes'),
      'ceiling', limits -> 'ceiling_bytes')
    FROM nodeai.file_usage u
    WHERE u.org_id = org AND u.user_id IN ('00000000-0000-0000-0000-000000000000', auth.uid()));
END
$$;
SELECT nodeai.expose('nodeai.file_usage_of(jsonb)', '{authenticated}');
CREATE FUNCTION public.file_usage(p jsonb) RETURNS jsonb
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = '' AS $$ SELECT nodeai.file_usage_of(p) $$;
SELECT nodeai.expose('public.file_usage(jsonb)', '{authenticated}');

-- {"org_bytes"?,"user_bytes"?}, both replaced: null is the default. Admins alone.
CREATE FUNCTION nodeai.do_file_quota_set(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  args jsonb := p -> 'args';
  before nodeai.file_quotas;
BEGIN
  IF NOT coalesce(org = ANY (nodeai.orgs_with('admin')), false) THEN
    RAISE EXCEPTION 'not an admin' USING ERRCODE = 'insufficient_privilege';
  END IF;
  IF (nodeai.file_limits(org) ->> 'ceiling_bytes')::bigint
      < greatest((args ->> 'org_bytes')::bigint, (args ->> 'user_bytes')::bigint) THEN
    RAISE EXCEPTION 'the operator allows this organisation less' USING ERRCODE = 'NA409';
  END IF;
  SELECT * INTO before FROM nodeai.file_quotas q WHERE q.org_id = org FOR UPDATE;
  INSERT INTO nodeai.file_quotas AS q (org_id, org_bytes, user_bytes)
    VALUES (org, (args ->> 'org_bytes')::bigint, (args ->> 'user_bytes')::bigint)
    ON CONFLICT (org_id) DO UPDATE SET org_bytes = excluded.org_bytes, user_bytes = excluded.user_bytes;
  RETURN jsonb_build_object('body', nodeai.file_usage_of(jsonb_build_object('org_id', org)),
    'changes', jsonb_build_object('before', jsonb_build_object('org_bytes', before.org_bytes, 'user_bytes', before.user_bytes),
      'after', args));
END
$$;
SELECT nodeai.expose('nodeai.do_file_quota_set(uuid, jsonb)', '{authenticated}');

-- Uploads ------------------------------------------------------------------------------------------------------------

-- How a quota's refusal is told.
CREATE FUNCTION nodeai.quota_outcome(detail text) RETURNS jsonb LANGUAGE sql IMMUTABLE
  RETURN '{"outcome":"quota"}'::jsonb || detail::jsonb;
SELECT nodeai.expose('nodeai.quota_outcome(text)', '{}');

-- Begins an upload and holds back its size: {"org_id"?,"id","name","size"?,"most_bytes","folder"?,"tags"?,"metadata"?,
-- "backend","ttl_s"} → {"outcome":"started","upload"} | {"outcome":"quota","scope","limit","used"}.
CREATE FUNCTION nodeai.start_file_upload(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  org uuid := coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  detail text;
  u public.file_uploads;
BEGIN
  PERFORM nodeai.require_runner(org);
  IF (SELECT count(*) FROM public.file_uploads x WHERE x.org_id = org AND x.expires_at > clock_timestamp()) >= 1000 THEN
    RETURN '{"outcome":"busy"}';
  END IF;
  -- Bytes belong to an id: that of a file is taken, whosever it is.
  IF EXISTS (SELECT FROM public.files f WHERE f.id = (p ->> 'id')::uuid) THEN
    RAISE EXCEPTION 'the id is taken' USING ERRCODE = 'insufficient_privilege';
  END IF;
  INSERT INTO public.file_uploads (id, org_id, user_id, name, size_bytes, most_bytes, reserved_bytes, folder, tags,
      metadata, backend, object_key, lease_token, expires_at, created_by)
    VALUES ((p ->> 'id')::uuid, org, auth.uid(), p ->> 'name', (p ->> 'size')::bigint, (p ->> 'most_bytes')::bigint,
      coalesce((p ->> 'size')::bigint, 0), p ->> 'folder',
      ARRAY(SELECT t FROM jsonb_array_elements_text(coalesce(nullif(p -> 'tags', 'null'), '[]')) t),
      coalesce(nullif(p -> 'metadata', 'null'), '{}'), p ->> 'backend',
      -- Not what somebody says: a key of another organisation would be its object.
      CASE WHEN p ->> 'backend' <> 'postgres' THEN org || '/' || (p ->> 'id') END, 1,
      clock_timestamp() + (p ->> 'ttl_s')::bigint * interval '1 second', auth.uid())
    RETURNING * INTO u;
  RETURN jsonb_build_object('outcome', 'started', 'upload', to_jsonb(u));
EXCEPTION WHEN SQLSTATE 'NA507' THEN
  GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
  RETURN nodeai.quota_outcome(detail);
END
$$;
SELECT nodeai.expose('nodeai.start_file_upload(jsonb)', '{authenticated,service_role}');

-- An upload of the organisation that goes on, locked; null when there is none.
CREATE FUNCTION nodeai.open_upload(org uuid, upload uuid) RETURNS public.file_uploads
LANGUAGE sql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
  SELECT u FROM public.file_uploads u
  WHERE u.id = upload AND u.org_id = org AND u.expires_at > clock_timestamp() FOR UPDATE
$$;
SELECT nodeai.expose('nodeai.open_upload(uuid, uuid)', '{}');

-- Takes an upload up, from whoever had it: {"org_id"?,"id","ttl_s","size"?} → {"upload"} or null. `size` says it when it was
-- left open.
CREATE FUNCTION nodeai.take_file_upload(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  org uuid := coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  detail text;
  u public.file_uploads;
BEGIN
  PERFORM nodeai.require_runner(org);
  u := nodeai.open_upload(org, (p ->> 'id')::uuid);
  IF u.id IS NULL THEN
    RETURN '{"outcome":"missing"}';
  END IF;
  IF p ->> 'size' IS NOT NULL AND (u.size_bytes <> (p ->> 'size')::bigint OR (p ->> 'size')::bigint < u.offset_bytes
      OR (p ->> 'size')::bigint > u.most_bytes) THEN
    RETURN '{"outcome":"length"}';
  END IF;
  UPDATE public.file_uploads x SET lease_token = x.lease_token + 1, updated_at = clock_timestamp(),
      size_bytes = coalesce(x.size_bytes, (p ->> 'size')::bigint),
      reserved_bytes = greatest(x.reserved_bytes, coalesce((p ->> 'size')::bigint, 0)),
      expires_at = clock_timestamp() + (p ->> 'ttl_s')::bigint * interval '1 second'
    WHERE x.id = u.id RETURNING * INTO u;
  RETURN jsonb_build_object('outcome', 'taken', 'upload', to_jsonb(u));
EXCEPTION WHEN SQLSTATE 'NA507' THEN
  GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
  RETURN nodeai.quota_outcome(detail);
END
$$;
SELECT nodeai.expose('nodeai.take_file_upload(jsonb)', '{authenticated,service_role}');

-- Writes on: {"org_id"?,"id","lease_token","offset","length","bytes"? (base64: kept here),"hash_state" (hex),
-- "backend_state"?,"drop_below"? (spooled bytes before it became a part)} → {"outcome":"advanced","offset"} | moved (somebody else has it, or
-- the offset is another one) | too_large | quota | missing.
CREATE FUNCTION nodeai.advance_file_upload(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  org uuid := coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  given bytea := decode(p ->> 'bytes', 'base64');
  u public.file_uploads;
  reach bigint;
  detail text;
BEGIN
  PERFORM nodeai.require_runner(org);
  u := nodeai.open_upload(org, (p ->> 'id')::uuid);
  IF u.id IS NULL THEN
    RETURN '{"outcome":"missing"}';
  ELSIF u.lease_token <> (p ->> 'lease_token')::bigint OR u.offset_bytes <> (p ->> 'offset')::bigint THEN
    RETURN jsonb_build_object('outcome', 'moved', 'offset', u.offset_bytes);
  END IF;
  reach := u.offset_bytes + (p ->> 'length')::bigint;
  IF reach < u.offset_bytes OR reach > coalesce(u.size_bytes, u.most_bytes) THEN
    RETURN '{"outcome":"too_large"}';
  END IF;
  IF p ->> 'drop_below' IS NOT NULL THEN
    DELETE FROM public.file_chunks c WHERE c.org_id = org AND c.object_id = u.id
      AND c.first_byte + octet_length(c.bytes) <= (p ->> 'drop_below')::bigint;
  END IF;
  IF coalesce(octet_length(given), CASE u.backend WHEN 'postgres' THEN 0 ELSE (p ->> 'length')::bigint END)
      <> (p ->> 'length')::bigint THEN
    RAISE EXCEPTION 'not as many bytes as are said' USING ERRCODE = 'insufficient_privilege';
  END IF;
  IF given IS NOT NULL THEN
    INSERT INTO public.file_chunks (org_id, object_id, number, first_byte, bytes)
      SELECT org, u.id, coalesce(max(c.number) + 1, 0), u.offset_bytes, given
      FROM public.file_chunks c WHERE c.org_id = org AND c.object_id = u.id;
  END IF;
  UPDATE public.file_uploads x SET offset_bytes = reach, hash_state = decode(p ->> 'hash_state', 'hex'),
      backend_state = coalesce(nullif(p -> 'backend_state', 'null'), x.backend_state),
      -- Without a size, the quotas are taken as the bytes come.
      reserved_bytes = greatest(x.reserved_bytes, reach), updated_at = clock_timestamp()
    WHERE x.id = u.id;
  RETURN jsonb_build_object('outcome', 'advanced', 'offset', reach);
EXCEPTION WHEN SQLSTATE 'NA507' THEN
  GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
  RETURN nodeai.quota_outcome(detail);
END
$$;
SELECT nodeai.expose('nodeai.advance_file_upload(jsonb)', '{authenticated,service_role}');

-- Back to an earlier offset, whose checksum was not the one that was said: {"org_id"?,"id","lease_token","offset","hash_state",
-- "backend_state"} → {"outcome":"rewound"} | moved | missing.
CREATE FUNCTION nodeai.rewind_file_upload(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  org uuid := coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  u public.file_uploads;
BEGIN
  PERFORM nodeai.require_runner(org);
  u := nodeai.open_upload(org, (p ->> 'id')::uuid);
  IF u.id IS NULL THEN
    RETURN '{"outcome":"missing"}';
  ELSIF u.lease_token <> (p ->> 'lease_token')::bigint OR u.offset_bytes < (p ->> 'offset')::bigint THEN
    RETURN jsonb_build_object('outcome', 'moved', 'offset', u.offset_bytes);
  END IF;
  DELETE FROM public.file_chunks c
    WHERE c.org_id = org AND c.object_id = u.id AND c.first_byte >= (p ->> 'offset')::bigint;
  UPDATE public.file_uploads x SET offset_bytes = (p ->> 'offset')::bigint, hash_state = decode(p ->> 'hash_state', 'hex'),
      backend_state = coalesce(nullif(p -> 'backend_state', 'null'), x.backend_state), updated_at = clock_timestamp()
    WHERE x.id = u.id;
  RETURN '{"outcome":"rewound"}';
END
$$;
SELECT nodeai.expose('nodeai.rewind_file_upload(jsonb)', '{authenticated,service_role}');

-- Gives an upload up: {"org_id"?,"id"} → {"outcome":"aborted"|"missing"}. Its bytes go when somebody drains.
CREATE FUNCTION nodeai.abort_file_upload(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  org uuid := coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  u public.file_uploads;
BEGIN
  PERFORM nodeai.require_runner(org);
  u := nodeai.open_upload(org, (p ->> 'id')::uuid);
  UPDATE public.file_uploads x SET expires_at = '-infinity', reserved_bytes = 0, lease_token = x.lease_token + 1,
      updated_at = clock_timestamp()
    WHERE x.id = u.id;
  RETURN jsonb_build_object('outcome', CASE WHEN u.id IS NULL THEN 'missing' ELSE 'aborted' END);
END
$$;
SELECT nodeai.expose('nodeai.abort_file_upload(jsonb)', '{authenticated,service_role}');

-- What the API shows of a file.
CREATE FUNCTION nodeai.file_shown(f public.files) RETURNS jsonb LANGUAGE sql STABLE
  RETURN jsonb_build_object('id', f.id, 'name', f.name, 'folder', f.folder, 'content_type', f.content_type,
    'size_bytes', f.size_bytes, 'sha256', f.sha256, 'tags', f.tags, 'metadata', f.metadata, 'user_id', f.user_id,
    'version', f.version, 'created_at', f.created_at, 'updated_at', f.updated_at);
SELECT nodeai.expose('nodeai.file_shown(public.files)', '{authenticated,service_role}');

-- The upload has become a file: {"id","lease_token","size","sha256","content_type"}.
CREATE FUNCTION nodeai.do_file_upload_finish(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  args jsonb := p -> 'args';
  u public.file_uploads;
  f public.files;
BEGIN
  PERFORM nodeai.require_runner(org);
  u := nodeai.open_upload(org, (args ->> 'id')::uuid);
  IF u.id IS NULL THEN
    RAISE EXCEPTION 'missing' USING ERRCODE = 'NA404';
  ELSIF u.lease_token <> (args ->> 'lease_token')::bigint OR u.offset_bytes <> (args ->> 'size')::bigint
      OR u.offset_bytes <> coalesce(u.size_bytes, u.offset_bytes) THEN
    RAISE EXCEPTION 'another request goes on with this upload' USING ERRCODE = 'NA409';
  END IF;
  -- What was held back is given back before the file itself is charged.
  UPDATE public.file_uploads x SET reserved_bytes = 0 WHERE x.id = u.id;
  INSERT INTO public.files (id, org_id, user_id, name, folder, content_type, size_bytes, sha256, backend, object_key,
      tags, metadata, created_by, created_at, updated_at)
    VALUES (u.id, org, u.user_id, u.name, u.folder, args ->> 'content_type', u.offset_bytes, args ->> 'sha256', u.backend,
      u.object_key, u.tags, u.metadata, u.created_by, clock_timestamp(), clock_timestamp())
    RETURNING * INTO f;
  -- Its bytes stay: a chunk's object is the file now.
  DELETE FROM public.file_uploads x WHERE x.id = u.id;
  RETURN jsonb_build_object('version', 1, 'body', nodeai.file_shown(f), 'changes', jsonb_build_object('after',
    jsonb_build_object('name', f.name, 'size_bytes', f.size_bytes, 'sha256', f.sha256, 'content_type', f.content_type)));
EXCEPTION WHEN SQLSTATE 'NA507' THEN
  RAISE EXCEPTION 'the storage quota was made smaller meanwhile' USING ERRCODE = 'NA409';
END
$$;
SELECT nodeai.expose('nodeai.do_file_upload_finish(uuid, jsonb)', '{authenticated,service_role}');

CREATE FUNCTION public.file_upload_start(p jsonb) RETURNS jsonb
LANGUAGE sql VOLATILE SECURITY INVOKER SET search_path = '' AS $$ SELECT nodeai.start_file_upload(p) $$;
SELECT nodeai.expose('public.file_upload_start(jsonb)', '{authenticated,service_role}');
CREATE FUNCTION public.file_upload_take(p jsonb) RETURNS jsonb
LANGUAGE sql VOLATILE SECURITY INVOKER SET search_path = '' AS $$ SELECT nodeai.take_file_upload(p) $$;
SELECT nodeai.expose('public.file_upload_take(jsonb)', '{authenticated,service_role}');
CREATE FUNCTION public.file_upload_advance(p jsonb) RETURNS jsonb
LANGUAGE sql VOLATILE SECURITY INVOKER SET search_path = '' AS $$ SELECT nodeai.advance_file_upload(p) $$;
SELECT nodeai.expose('public.file_upload_advance(jsonb)', '{authenticated,service_role}');
CREATE FUNCTION public.file_upload_rewind(p jsonb) RETURNS jsonb
LANGUAGE sql VOLATILE SECURITY INVOKER SET search_path = '' AS $$ SELECT nodeai.rewind_file_upload(p) $$;
SELECT nodeai.expose('public.file_upload_rewind(jsonb)', '{authenticated,service_role}');
CREATE FUNCTION public.file_upload_abort(p jsonb) RETURNS jsonb
LANGUAGE sql VOLATILE SECURITY INVOKER SET search_path = '' AS $$ SELECT nodeai.abort_file_upload(p) $$;
SELECT nodeai.expose('public.file_upload_abort(jsonb)', '{authenticated,service_role}');

-- Reading ------------------------------------------------------------------------------------------------------------

-- Bytes that are kept here: {"org_id"?,"id","from","most"} → {"bytes" (base64)}: up to `most`, which is at most 2 MiB; fewer
-- at the end, none behind it.
CREATE FUNCTION public.file_read(p jsonb) RETURNS jsonb
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = '' AS $$
  SELECT jsonb_build_object('bytes', translate(encode(coalesce(string_agg(
      substring(c.bytes FROM (greatest(w.first - c.first_byte, 0) + 1)::integer
        FOR (w.first + w.most - greatest(c.first_byte, w.first))::integer), '' ORDER BY c.first_byte), ''), 'base64'), E'\n', ''))
  FROM (SELECT coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid AS org, (p ->> 'id')::uuid AS id,
          (p ->> 'from')::bigint AS first, least((p ->> 'most')::bigint, 2097152) AS most) w
  JOIN public.file_chunks c ON c.org_id = w.org AND c.object_id = w.id AND c.first_byte < w.first + w.most
    AND c.first_byte >= (SELECT max(b.first_byte) FROM public.file_chunks b
                         WHERE b.org_id = w.org AND b.object_id = w.id AND b.first_byte <= w.first)
$$;
SELECT nodeai.expose('public.file_read(jsonb)', '{authenticated,service_role}');

-- Links --------------------------------------------------------------------------------------------------------------

-- {"id","file_id","token_hash","inline","expires_at"}: a file has at most 100.
CREATE FUNCTION nodeai.do_file_link_create(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  args jsonb := p -> 'args';
  l public.file_links;
BEGIN
  PERFORM nodeai.require_runner(org);
  PERFORM FROM public.files f
    WHERE f.id = (args ->> 'file_id')::uuid AND f.org_id = org AND f.deleted_at IS NULL FOR KEY SHARE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'missing' USING ERRCODE = 'NA404';
  END IF;
  DELETE FROM public.file_links x WHERE x.file_id = (args ->> 'file_id')::uuid AND x.expires_at <= clock_timestamp();
  IF (SELECT count(*) FROM public.file_links x WHERE x.file_id = (args ->> 'file_id')::uuid) >= 100 THEN
    RAISE EXCEPTION 'a file has at most 100 links; remove one' USING ERRCODE = 'NA409';
  END IF;
  INSERT INTO public.file_links (id, org_id, file_id, token_hash, inline, expires_at, created_by)
    VALUES ((args ->> 'id')::uuid, org, (args ->> 'file_id')::uuid, args ->> 'token_hash', (args ->> 'inline')::boolean,
      (args ->> 'expires_at')::timestamptz, auth.uid())
    RETURNING * INTO l;
  RETURN jsonb_build_object('body', jsonb_build_object('id', l.id, 'file_id', l.file_id, 'inline', l.inline,
    'expires_at', l.expires_at, 'created_at', l.created_at), 'changes', jsonb_build_object('file_id', l.file_id,
    'expires_at', l.expires_at));
END
$$;
SELECT nodeai.expose('nodeai.do_file_link_create(uuid, jsonb)', '{authenticated,service_role}');

-- {"id"}: from now on it does not open.
CREATE FUNCTION nodeai.do_file_link_revoke(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  l public.file_links;
BEGIN
  PERFORM nodeai.require_runner(org);
  DELETE FROM public.file_links x WHERE x.id = (p #>> '{args,id}')::uuid AND x.org_id = org RETURNING * INTO l;
  IF l.id IS NULL THEN
    RAISE EXCEPTION 'missing' USING ERRCODE = 'NA404';
  END IF;
  RETURN jsonb_build_object('changes', jsonb_build_object('file_id', l.file_id));
END
$$;
SELECT nodeai.expose('nodeai.do_file_link_revoke(uuid, jsonb)', '{authenticated,service_role}');

-- Who follows a link: {"token_hash","ip"?} → {"file" or null,"inline","rate"}. An address may try 300 in a minute.
CREATE FUNCTION nodeai.open_file_link(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  rate jsonb := nodeai.bucket_take(md5('file link ' || coalesce(p ->> 'ip', ''))::uuid, 'links', 300, 100,
    nodeai.to_us(clock_timestamp()), 1, true);
  l public.file_links;
  f public.files;
BEGIN
  IF (rate ->> 'admitted')::boolean THEN
    UPDATE public.file_links x SET last_used_at = clock_timestamp(), used_count = x.used_count + 1
      WHERE x.token_hash = p ->> 'token_hash' AND x.expires_at > clock_timestamp() RETURNING * INTO l;
    SELECT * INTO f FROM public.files x WHERE x.id = l.file_id AND x.deleted_at IS NULL;
  END IF;
  RETURN jsonb_build_object('inline', coalesce(l.inline, false), 'file', CASE WHEN f.id IS NOT NULL THEN
      nodeai.file_shown(f) || jsonb_build_object('org_id', f.org_id, 'backend', f.backend, 'object_key', f.object_key) END,
    'rate', rate || jsonb_build_object('policies', jsonb_build_array(
      jsonb_build_object('policy', rate -> 'policy', 'limit', rate -> 'limit', 'window_s', rate -> 'window_s'))));
END
$$;
SELECT nodeai.expose('nodeai.open_file_link(jsonb)', '{anon,service_role}');
CREATE FUNCTION public.file_link_open(p jsonb) RETURNS jsonb
LANGUAGE sql VOLATILE SECURITY INVOKER SET search_path = '' AS $$ SELECT nodeai.open_file_link(p) $$;
SELECT nodeai.expose('public.file_link_open(jsonb)', '{anon,service_role}');

-- What goes away -----------------------------------------------------------------------------------------------------

-- Removes bytes of what was deleted, given up or has expired, at most `most` rows of them, and then its row:
-- {"org_id"?,"most"} → {"files","uploads","chunks","left"}.
CREATE FUNCTION nodeai.purge_files(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  org uuid := nullif(p ->> 'org_id', '')::uuid;
  room bigint := (p ->> 'most')::bigint;
  thing record;
  n bigint;
  files bigint := 0;
  uploads bigint := 0;
  chunks bigint := 0;
BEGIN
  FOR thing IN
    SELECT 'files' AS tbl, a.id, a.org_id FROM (
      SELECT f.id, f.org_id FROM public.files f
      WHERE f.deleted_at IS NOT NULL AND (org IS NULL OR f.org_id = org)
      ORDER BY f.deleted_at LIMIT 200 FOR UPDATE SKIP LOCKED) a
    UNION ALL
    SELECT 'uploads', b.id, b.org_id FROM (
      SELECT u.id, u.org_id FROM public.file_uploads u
      WHERE u.expires_at <= clock_timestamp() AND (org IS NULL OR u.org_id = org)
      ORDER BY u.expires_at LIMIT 200 FOR UPDATE SKIP LOCKED) b
  LOOP
    EXIT WHEN room <= 0;
    DELETE FROM public.file_chunks c WHERE c.org_id = thing.org_id AND c.object_id = thing.id AND c.number IN (
      SELECT d.number FROM public.file_chunks d WHERE d.org_id = thing.org_id AND d.object_id = thing.id
      ORDER BY d.number LIMIT room);
    GET DIAGNOSTICS n = ROW_COUNT;
    room := room - n;
    chunks := chunks + n;
    EXIT WHEN room <= 0;
    IF thing.tbl = 'files' THEN
      DELETE FROM public.files f WHERE f.id = thing.id;
      files := files + 1;
    ELSE
      DELETE FROM public.file_uploads u WHERE u.id = thing.id;
      uploads := uploads + 1;
    END IF;
  END LOOP;
  RETURN jsonb_build_object('files', files, 'uploads', uploads, 'chunks', chunks,
    'left', room <= 0 OR files >= 200 OR uploads >= 200);
END
$$;
SELECT nodeai.expose('nodeai.purge_files(jsonb)', '{service_role}');

-- As above, and objects of other backends to be removed, which are this caller's for a minute and then due again, later each
-- time: {"org_id"?,"most","backend"} → {…,"garbage":[{"id","object_key","backend_state"}]}.
CREATE FUNCTION nodeai.take_file_garbage(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  done jsonb := nodeai.purge_files(p);
  garbage jsonb;
BEGIN
  WITH due AS (
    SELECT g.id FROM nodeai.file_garbage g
    WHERE g.next_at <= clock_timestamp() AND g.backend = p ->> 'backend'
      AND (nullif(p ->> 'org_id', '') IS NULL OR starts_with(g.object_key, (p ->> 'org_id') || '/'))
    ORDER BY g.next_at LIMIT 32 FOR UPDATE SKIP LOCKED
  ), taken AS (
    UPDATE nodeai.file_garbage g SET tries = g.tries + 1,
        next_at = clock_timestamp() + interval '1 minute' * power(2, least(g.tries, 10))
      FROM due d WHERE g.id = d.id RETURNING g.id, g.object_key, g.backend_state
  )
  SELECT coalesce(jsonb_agg(to_jsonb(t)), '[]') INTO garbage FROM taken t;
  RETURN done || jsonb_build_object('garbage', garbage);
END
$$;
SELECT nodeai.expose('nodeai.take_file_garbage(jsonb)', '{service_role}');
CREATE FUNCTION public.files_purge(p jsonb) RETURNS jsonb
LANGUAGE sql VOLATILE SECURITY INVOKER SET search_path = '' AS $$ SELECT nodeai.take_file_garbage(p) $$;
SELECT nodeai.expose('public.files_purge(jsonb)', '{service_role}');

-- Objects that are gone: {"ids"} → {"removed"}.
CREATE FUNCTION nodeai.drop_file_garbage(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  n bigint;
BEGIN
  DELETE FROM nodeai.file_garbage g WHERE g.id IN (SELECT i::uuid FROM jsonb_array_elements_text(p -> 'ids') i);
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN jsonb_build_object('removed', n);
END
$$;
SELECT nodeai.expose('nodeai.drop_file_garbage(jsonb)', '{service_role}');
CREATE FUNCTION public.files_purged(p jsonb) RETURNS jsonb
LANGUAGE sql VOLATILE SECURITY INVOKER SET search_path = '' AS $$ SELECT nodeai.drop_file_garbage(p) $$;
SELECT nodeai.expose('public.files_purged(jsonb)', '{service_role}');

SELECT nodeai.allow_call(fn) FROM unnest(ARRAY['file_usage', 'file_upload_start', 'file_upload_take', 'file_upload_advance',
  'file_upload_rewind', 'file_upload_abort', 'file_read', 'files_purge', 'files_purged']) fn;

-- Housekeeping: all of it, and what is left of files, also where nobody drains; links that have expired.
CREATE FUNCTION nodeai.prune_files() RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  done jsonb := nodeai.purge_files('{"most":2000}');
  n bigint;
BEGIN
  DELETE FROM public.file_links l WHERE l.expires_at < now();
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN jsonb_build_object('files', done -> 'files', 'file_chunks', done -> 'chunks', 'file_links', n);
END
$$;
SELECT nodeai.expose('nodeai.prune_files()', '{}');
ALTER FUNCTION nodeai.housekeeping(jsonb) RENAME TO keep_house_but_files;
SELECT nodeai.expose('nodeai.keep_house_but_files(jsonb)', '{}');
CREATE FUNCTION nodeai.housekeeping(p jsonb) RETURNS jsonb
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
  SELECT nodeai.keep_house_but_files(p) || nodeai.prune_files()
$$;
SELECT nodeai.expose('nodeai.housekeeping(jsonb)', '{service_role}');
