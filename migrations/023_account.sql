-- One's own account: export and deletion as jobs; attacks in the audit log; what a deployed run ran with; a claim whose
-- host is gone.

-- Jobs of an account -----------------------------------------------------------------------------------------------------
-- A job is done in steps; a step is one call that commits by itself and may be repeated. Whoever asks for the job moves it
-- on, and so does housekeeping. A deletion's row outlives its account for 30 days, with nothing of it but the user's id:
-- it is the receipt, and tokens that were issued before are refused by it.

CREATE TABLE nodeai.profile_jobs (
  id uuid PRIMARY KEY,
  user_id uuid NOT NULL,
  kind text NOT NULL CONSTRAINT profile_jobs_kind CHECK (kind IN ('export', 'deletion')),
  status text NOT NULL DEFAULT 'queued'
    CONSTRAINT profile_jobs_status CHECK (status IN ('queued', 'running', 'done', 'failed', 'cancelled')),
  stage text NOT NULL DEFAULT '',
  position jsonb NOT NULL DEFAULT '{}',
  counts jsonb NOT NULL DEFAULT '{}',
  orgs uuid[] NOT NULL DEFAULT '{}',
  parts integer NOT NULL DEFAULT 0,
  lines bigint NOT NULL DEFAULT 0,
  bytes bigint NOT NULL DEFAULT 0,
  attempts integer NOT NULL DEFAULT 0,
  error text,
  starts_at timestamptz NOT NULL DEFAULT now(),
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  finished_at timestamptz,
  expires_at timestamptz
);
CREATE UNIQUE INDEX profile_jobs_active_unique ON nodeai.profile_jobs (user_id, kind)
  WHERE status IN ('queued', 'running');
CREATE INDEX profile_jobs_user_idx ON nodeai.profile_jobs (user_id, id DESC);
CREATE INDEX profile_jobs_due_idx ON nodeai.profile_jobs (starts_at) WHERE status IN ('queued', 'running');
SELECT nodeai.lock_table('nodeai.profile_jobs');

-- An export's archive, in parts of about a megabyte of JSON Lines.
CREATE TABLE nodeai.profile_archives (
  job_id uuid NOT NULL CONSTRAINT profile_archives_job REFERENCES nodeai.profile_jobs (id) ON DELETE CASCADE,
  number integer NOT NULL,
  body text NOT NULL,
  PRIMARY KEY (job_id, number)
);
SELECT nodeai.lock_table('nodeai.profile_archives');

ALTER TABLE public.profiles ADD COLUMN deleting_at timestamptz;

-- Everybody looks after what is their own, whatever their role is.
CREATE OR REPLACE FUNCTION nodeai.scopes_of(member_role text) RETURNS text[]
LANGUAGE sql IMMUTABLE
  RETURN CASE member_role
    WHEN 'owner' THEN ARRAY['*'] WHEN 'admin' THEN ARRAY['*']
    WHEN 'editor' THEN ARRAY['*:read', '*:write', '*:run', 'profiles:own', 'profiles:export', 'profiles:delete']
    ELSE ARRAY['*:read', 'profiles:own', 'profiles:export', 'profiles:delete'] END;

-- The tables of tenants, from the catalog: a new one is exported and erased without being named here. `depth` counts
-- foreign keys down from organizations, so children have more of it than their parents.
CREATE FUNCTION nodeai.tenant_tables() RETURNS TABLE (name text, depth integer)
LANGUAGE sql STABLE SET search_path = '' AS $$
  WITH RECURSIVE owned AS (
    SELECT c.oid, c.relname::text AS name FROM pg_catalog.pg_class c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
      AND EXISTS (SELECT FROM pg_catalog.pg_attribute a
                  WHERE a.attrelid = c.oid AND a.attname = 'org_id' AND NOT a.attisdropped)
  ), below AS (
    SELECT o.oid, 0 AS depth FROM owned o
    UNION
    SELECT k.conrelid, b.depth + 1 FROM below b
    JOIN pg_catalog.pg_constraint k ON k.confrelid = b.oid AND k.contype = 'f' AND k.conrelid <> k.confrelid
    WHERE b.depth < 10
  )
  SELECT o.name, max(b.depth) FROM owned o JOIN below b ON b.oid = o.oid GROUP BY o.name
$$;
SELECT nodeai.expose('nodeai.tenant_tables()', '{}');

-- The organisations that go with a user, since nobody else is in them.
CREATE FUNCTION nodeai.orgs_alone(member uuid) RETURNS uuid[]
LANGUAGE sql STABLE SET search_path = '' AS $$
  SELECT coalesce(array_agg(m.org_id ORDER BY m.org_id), '{}') FROM public.organization_members m
  WHERE m.user_id = member AND NOT EXISTS (
    SELECT FROM public.organization_members x WHERE x.org_id = m.org_id AND x.user_id <> member)
$$;
SELECT nodeai.expose('nodeai.orgs_alone(uuid)', '{}');

-- Refuses to leave members behind without an owner.
CREATE FUNCTION nodeai.require_successors(member uuid) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = '' AS $$
DECLARE
  stuck text;
BEGIN
  SELECT string_agg(format('%s (%s)', o.name, o.id), ', ' ORDER BY o.id) INTO stuck
    FROM public.organization_members m JOIN public.organizations o ON o.id = m.org_id
    WHERE m.user_id = member AND m.role = 'owner'
      AND EXISTS (SELECT FROM public.organization_members x WHERE x.org_id = m.org_id AND x.user_id <> member)
      AND NOT EXISTS (SELECT FROM public.organization_members x
                      WHERE x.org_id = m.org_id AND x.user_id <> member AND x.role = 'owner');
  IF stuck IS NOT NULL THEN
    RAISE EXCEPTION 'the last owner cannot go while there are other members: make one of them an owner, or remove them, in %',
      stuck USING ERRCODE = 'NA409';
  END IF;
END
$$;
SELECT nodeai.expose('nodeai.require_successors(uuid)', '{}');

-- Export -------------------------------------------------------------------------------------------------------------------

-- The tables of an export, by name. Left out: what is derived from others or lives for minutes.
CREATE FUNCTION nodeai.export_tables() RETURNS text[]
LANGUAGE sql STABLE SET search_path = '' AS $$
  SELECT array_agg(t.name ORDER BY t.name COLLATE "C") FROM nodeai.tenant_tables() t
  WHERE t.name <> ALL (ARRAY['oauth_states', 'file_uploads', 'trace_days', 'chunk_terms', 'term_stats', 'corpus_stats',
    'embedding_cache'])
$$;
SELECT nodeai.expose('nodeai.export_tables()', '{}');

-- Which rows of a table are the user's own ($2) in an organisation with other members: by the columns that it has.
CREATE FUNCTION nodeai.export_own(tbl text) RETURNS text
LANGUAGE sql STABLE SET search_path = '' AS $$
  SELECT CASE tbl
    WHEN 'organization_members' THEN 't.user_id = $2'
    WHEN 'api_keys' THEN 't.user_id = $2'
    WHEN 'connections' THEN 't.user_id = $2'
    WHEN 'execution_queue' THEN 't.user_id = $2'
    WHEN 'audit_logs' THEN 't.actor_user_id = $2 OR t.resource_id = $2::text'
    WHEN 'spans' THEN 'EXISTS (SELECT FROM public.traces x WHERE x.org_id = t.org_id AND x.trace_id = t.trace_id
                               AND x.day = t.day AND x.user_id = $2)'
    WHEN 'run_log_segments' THEN 'EXISTS (SELECT FROM public.execution_queue x WHERE x.org_id = t.org_id
                               AND x.id = t.execution_id AND x.user_id = $2)'
    ELSE coalesce((
      SELECT string_agg(format('t.%I = $2', a.attname), ' OR ') FROM pg_catalog.pg_attribute a
      WHERE a.attrelid = format('public.%I', tbl)::regclass AND NOT a.attisdropped
        AND a.attname IN ('user_id', 'created_by', 'author')), 'false') END
$$;
SELECT nodeai.expose('nodeai.export_own(text)', '{}');

-- A row as an export shows it: no ciphertext, no hash of a credential, no vector.
CREATE FUNCTION nodeai.export_view(seen jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE
  RETURN (SELECT coalesce(jsonb_object_agg(k, v), '{}') FROM jsonb_each(seen) AS e(k, v)
    WHERE k !~ '(ciphertext|wrapped_key|nonce|_hash)$' AND k !~ '^(embedding|hash_state)');
SELECT nodeai.expose('nodeai.export_view(jsonb)', '{}');

-- A page of a table's rows in one organisation, in the order of its primary key, behind `after` (that key as a list): at
-- most 200 rows, 20 of documents and 2 of files' bytes, and no more once they have a megabyte. `whole`: all rows; else the user's own ones, an audit row without
-- its details unless the user may read the log (`admin`).
CREATE FUNCTION nodeai.export_page(tbl text, org uuid, member uuid, whole boolean, admin boolean, after jsonb)
RETURNS TABLE (body text, n bigint, next jsonb)
LANGUAGE plpgsql STABLE SET search_path = '' AS $$
DECLARE
  most integer := CASE
    WHEN tbl = 'file_chunks' THEN 2
    WHEN tbl IN ('workflows', 'workflow_versions', 'execution_queue', 'run_log_segments', 'documents', 'chunks') THEN 20
    ELSE 200 END;
  keys text;
  behind text;
BEGIN
  SELECT string_agg(format('t.%I', a.attname), ', ' ORDER BY k.place),
         string_agg(format('($4 ->> %s)::%s', k.place - 1, format_type(a.atttypid, a.atttypmod)), ', ' ORDER BY k.place)
    INTO keys, behind
    FROM pg_catalog.pg_index i
    CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place)
    JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
    WHERE i.indrelid = format('public.%I', tbl)::regclass AND i.indisprimary;
  RETURN QUERY EXECUTE format($sql$
    WITH page AS (
      SELECT row_number() OVER (ORDER BY %1$s) AS place, jsonb_build_array(%1$s) AS key,
        jsonb_build_object('type', %2$L, 'organization_id', t.org_id, 'data', nodeai.export_view(to_jsonb(t)) %6$s)::text AS line
      FROM public.%2$I t
      WHERE t.org_id = $1 AND ($3 OR %3$s) AND %4$s
      ORDER BY %1$s LIMIT %5$s
    ), sized AS (
      SELECT p.*, sum(octet_length(p.line)) OVER (ORDER BY p.place) - octet_length(p.line) AS before FROM page p
    ), kept AS (SELECT * FROM sized s WHERE s.before < 1000000)
    SELECT string_agg(k.line || E'\n', '' ORDER BY k.place), count(*),
      CASE WHEN count(*) = %5$s OR count(*) < (SELECT count(*) FROM page)
           THEN (array_agg(k.key ORDER BY k.place DESC))[1] END
    FROM kept k $sql$,
    keys, tbl, '(' || nodeai.export_own(tbl) || ')',
    CASE WHEN after IS NULL THEN 'true' ELSE format('(%s) > (%s)', keys, behind) END, most,
    CASE WHEN tbl = 'audit_logs' AND NOT admin THEN '- ''details''' ELSE '' END)
    USING org, member, whole, after;
END
$$;
SELECT nodeai.expose('nodeai.export_page(text, uuid, uuid, boolean, boolean, jsonb)', '{}');

-- The first lines: what the archive is, the profile with its settings, the organisations, invitations to the user.
CREATE FUNCTION nodeai.export_head(j nodeai.profile_jobs) RETURNS text
LANGUAGE sql STABLE SET search_path = '' AS $$
  SELECT string_agg(line::text || E'\n', '' ORDER BY place) FROM (
    SELECT 1 AS place, jsonb_build_object('type', 'manifest', 'data', jsonb_build_object('format', 'nodeai-export/1',
      'job_id', j.id, 'user_id', j.user_id, 'created_at', j.created_at)) AS line
    UNION ALL
    SELECT 2, jsonb_build_object('type', 'profile', 'data', to_jsonb(u) - 'deleting_at')
    FROM public.profiles u WHERE u.id = j.user_id
    UNION ALL
    SELECT 3, jsonb_build_object('type', 'organization', 'organization_id', o.id, 'data', jsonb_build_object(
      'id', o.id, 'name', o.name, 'slug', o.slug, 'kind', o.kind, 'role', m.role, 'joined_at', m.created_at)
      || CASE WHEN m.rank >= 3 THEN jsonb_build_object('settings', o.settings, 'retention_days', o.retention_days)
              ELSE '{}' END)
    FROM public.organization_members m JOIN public.organizations o ON o.id = m.org_id WHERE m.user_id = j.user_id
    UNION ALL
    SELECT 4, jsonb_build_object('type', 'invitation_received', 'organization_id', i.org_id, 'data', jsonb_build_object(
      'id', i.id, 'email', i.email, 'role', i.role, 'expires_at', i.expires_at, 'accepted_at', i.accepted_at))
    FROM public.invitations i JOIN public.profiles u ON lower(u.email) = lower(i.email) WHERE u.id = j.user_id) x
$$;
SELECT nodeai.expose('nodeai.export_head(nodeai.profile_jobs)', '{}');

-- One step of an export: about a megabyte, or two seconds. What the user may read is asked anew each time: who was removed from an
-- organisation meanwhile gets nothing more of it.
CREATE FUNCTION nodeai.export_step(j nodeai.profile_jobs) RETURNS nodeai.profile_jobs
LANGUAGE plpgsql VOLATILE SET search_path = '' AS $$
DECLARE
  names text[] := nodeai.export_tables();
  alone uuid[] := nodeai.orgs_alone(j.user_id);
  org_at integer := coalesce((j.position ->> 'org')::integer, 1);
  after jsonb := nullif(j.position -> 'after', 'null');
  role_rank smallint;
  page record;
  part text := '';
  until timestamptz := clock_timestamp() + interval '2 seconds';
BEGIN
  IF j.stage = '' THEN
    part := nodeai.export_head(j);
    j.lines := j.lines + length(part) - length(replace(part, E'\n', ''));
    j.stage := names[1];
  END IF;
  WHILE j.stage <> 'end' AND octet_length(part) < 1000000 AND clock_timestamp() < until LOOP
    IF org_at > cardinality(j.orgs) THEN
      j.stage := coalesce((SELECT n FROM unnest(names) n WHERE n > j.stage COLLATE "C"
        ORDER BY n COLLATE "C" LIMIT 1), 'end');
      org_at := 1;
      after := NULL;
      CONTINUE;
    END IF;
    SELECT m.rank INTO role_rank FROM public.organization_members m
      WHERE m.user_id = j.user_id AND m.org_id = j.orgs[org_at];
    page := NULL;
    IF role_rank IS NOT NULL THEN
      SELECT * INTO page FROM nodeai.export_page(j.stage, j.orgs[org_at], j.user_id, j.orgs[org_at] = ANY (alone),
        role_rank >= 3, after);
      part := part || coalesce(page.body, '');
      j.lines := j.lines + page.n;
      IF page.n > 0 THEN
        j.counts := j.counts || jsonb_build_object(j.stage, coalesce((j.counts ->> j.stage)::bigint, 0) + page.n);
      END IF;
      after := page.next;
    ELSE
      after := NULL;
    END IF;
    IF after IS NULL THEN
      org_at := org_at + 1;
    END IF;
  END LOOP;
  j.position := jsonb_build_object('org', org_at, 'after', after);
  IF j.stage = 'end' THEN
    j.lines := j.lines + 1;
    part := part || jsonb_build_object('type', 'end', 'data', jsonb_build_object('lines', j.lines, 'rows', j.counts))
      || E'\n';
    j.status := 'done';
    j.finished_at := clock_timestamp();
    j.expires_at := j.finished_at + interval '7 days';
  END IF;
  IF part <> '' THEN
    INSERT INTO nodeai.profile_archives (job_id, number, body) VALUES (j.id, j.parts, part);
    j.parts := j.parts + 1;
    j.bytes := j.bytes + octet_length(part);
  END IF;
  RETURN j;
END
$$;
SELECT nodeai.expose('nodeai.export_step(nodeai.profile_jobs)', '{}');

-- Deletion -----------------------------------------------------------------------------------------------------------------

-- The tables in the order in which they are emptied: secrets, then children before parents, append-only logs at the end.
CREATE FUNCTION nodeai.erase_tables() RETURNS text[]
LANGUAGE sql STABLE SET search_path = '' AS $$
  SELECT array_agg(t.name ORDER BY
    CASE WHEN t.name IN ('connections', 'oauth_states', 'secret_versions', 'secrets_vault', 'api_keys') THEN 0
         WHEN t.name IN ('audit_logs', 'secret_access_log') THEN 2 ELSE 1 END, t.depth DESC, t.name)
  FROM nodeai.tenant_tables() t WHERE t.name <> 'organization_members'
$$;
SELECT nodeai.expose('nodeai.erase_tables()', '{}');

-- Deletes at most `most` rows (null: all) of an organisation from a table; append-only logs let it for this organisation.
CREATE FUNCTION nodeai.erase_rows(tbl text, org uuid, most bigint) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = '' AS $$
DECLARE
  n bigint;
BEGIN
  PERFORM set_config('nodeai.erasing', org::text, true);
  EXECUTE format('WITH doomed AS (SELECT d.ctid AS row_at, d.tableoid AS part FROM public.%1$I d WHERE d.org_id = $1 LIMIT $2)
    DELETE FROM public.%1$I t USING doomed WHERE t.ctid = doomed.row_at AND t.tableoid = doomed.part', tbl)
    USING org, most;
  GET DIAGNOSTICS n = ROW_COUNT;
  PERFORM set_config('nodeai.erasing', '', true);
  RETURN n;
END
$$;
SELECT nodeai.expose('nodeai.erase_rows(text, uuid, bigint)', '{}');

-- The first step: the keys stop, tokens of connected accounts go, memberships in others' organisations end, and the
-- account takes nothing new from here on.
CREATE FUNCTION nodeai.erase_access(j nodeai.profile_jobs) RETURNS nodeai.profile_jobs
LANGUAGE plpgsql VOLATILE SET search_path = '' AS $$
DECLARE
  left_org uuid;
  n bigint;
BEGIN
  PERFORM 1 FROM public.organizations o WHERE o.id IN (
    SELECT m.org_id FROM public.organization_members m WHERE m.user_id = j.user_id) ORDER BY o.id FOR UPDATE;
  PERFORM nodeai.require_successors(j.user_id);
  j.orgs := nodeai.orgs_alone(j.user_id);
  DELETE FROM public.connections c WHERE c.user_id = j.user_id;
  GET DIAGNOSTICS n = ROW_COUNT;
  DELETE FROM public.oauth_states s WHERE s.user_id = j.user_id;
  UPDATE public.api_keys k SET revoked_at = clock_timestamp() WHERE k.user_id = j.user_id AND k.revoked_at IS NULL;
  DELETE FROM public.workflow_shares s WHERE s.user_id = j.user_id;
  DELETE FROM public.invitations i USING public.profiles u
    WHERE u.id = j.user_id AND (lower(i.email) = lower(u.email) OR i.accepted_by = u.id);
  UPDATE public.profiles u SET deleting_at = clock_timestamp(), default_org_id = j.orgs[1], version = u.version + 1
    WHERE u.id = j.user_id;
  FOR left_org IN SELECT m.org_id FROM public.organization_members m
                  WHERE m.user_id = j.user_id AND m.org_id <> ALL (j.orgs) ORDER BY m.org_id LOOP
    DELETE FROM public.api_keys k WHERE k.user_id = j.user_id AND k.org_id = left_org;
    DELETE FROM public.organization_members m WHERE m.user_id = j.user_id AND m.org_id = left_org;
    PERFORM nodeai.append_audit(left_org, j.user_id, NULL, jsonb_build_object('action', 'member.left',
      'resource_type', 'member', 'resource_id', j.user_id, 'details', '{"reason":"account deleted"}'::jsonb));
  END LOOP;
  j.counts := jsonb_build_object('access', n);
  j.stage := 'data';
  j.position := jsonb_build_object('table', (nodeai.erase_tables())[1]);
  RETURN j;
END
$$;
SELECT nodeai.expose('nodeai.erase_access(nodeai.profile_jobs)', '{}');

-- The last step, in one transaction: what has come meanwhile, the organisations, and the user.
CREATE FUNCTION nodeai.erase_account(j nodeai.profile_jobs) RETURNS nodeai.profile_jobs
LANGUAGE plpgsql VOLATILE SET search_path = '' AS $$
DECLARE
  org uuid;
  tbl text;
BEGIN
  FOREACH org IN ARRAY j.orgs LOOP
    -- Somebody who was added while this went on must not lose what is theirs.
    CONTINUE WHEN NOT org = ANY (nodeai.orgs_alone(j.user_id));
    FOREACH tbl IN ARRAY nodeai.erase_tables() LOOP
      PERFORM nodeai.erase_rows(tbl, org, NULL);
    END LOOP;
    DELETE FROM nodeai.idempotency_keys i WHERE i.org_id = org;
    DELETE FROM nodeai.audit_heads h WHERE h.org_id = org;
    DELETE FROM public.organizations o WHERE o.id = org;
  END LOOP;
  DELETE FROM nodeai.idempotency_keys i
    WHERE i.principal = j.user_id OR i.principal IN (SELECT k.id FROM public.api_keys k WHERE k.user_id = j.user_id);
  DELETE FROM nodeai.rate_limit_buckets b WHERE b.id = j.user_id;
  DELETE FROM nodeai.profile_jobs x WHERE x.user_id = j.user_id AND x.id <> j.id;
  DELETE FROM public.profiles u WHERE u.id = j.user_id;
  j.counts := j.counts || '{"account":1}';
  j.stage := 'end';
  j.status := 'done';
  j.orgs := '{}';
  j.position := '{}';
  j.finished_at := clock_timestamp();
  j.expires_at := j.finished_at + interval '30 days';
  RETURN j;
END
$$;
SELECT nodeai.expose('nodeai.erase_account(nodeai.profile_jobs)', '{}');

-- One step of a deletion: about 5,000 rows.
CREATE FUNCTION nodeai.erase_step(j nodeai.profile_jobs) RETURNS nodeai.profile_jobs
LANGUAGE plpgsql VOLATILE SET search_path = '' AS $$
DECLARE
  names text[] := nodeai.erase_tables();
  at integer := coalesce(array_position(names, j.position ->> 'table'), 1);
  budget bigint := 5000;
  org uuid;
  label text;
  n bigint;
BEGIN
  IF j.stage = '' THEN
    RETURN nodeai.erase_access(j);
  ELSIF j.stage = 'account' THEN
    RETURN nodeai.erase_account(j);
  END IF;
  WHILE at <= cardinality(names) AND budget > 0 LOOP
    label := CASE WHEN at <= 5 THEN 'secrets' ELSE 'data' END;
    FOREACH org IN ARRAY j.orgs LOOP
      CONTINUE WHEN NOT org = ANY (nodeai.orgs_alone(j.user_id));
      n := nodeai.erase_rows(names[at], org, budget);
      budget := budget - n;
      j.counts := j.counts || jsonb_build_object(label, coalesce((j.counts ->> label)::bigint, 0) + n);
      EXIT WHEN budget <= 0;
    END LOOP;
    IF budget > 0 THEN
      at := at + 1;
    END IF;
  END LOOP;
  j.position := jsonb_build_object('table', names[least(at, cardinality(names))]);
  IF at > cardinality(names) THEN
    j.stage := 'account';
  END IF;
  RETURN j;
END
$$;
SELECT nodeai.expose('nodeai.erase_step(nodeai.profile_jobs)', '{}');

-- Jobs as their users see them ---------------------------------------------------------------------------------------------

-- The steps of a job, each "waiting", "running" or "done".
CREATE FUNCTION nodeai.job_steps(j nodeai.profile_jobs) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = '' AS $$
DECLARE
  names text[];
  now_at integer;
BEGIN
  IF j.kind = 'export' THEN
    names := 'profile'::text || nodeai.export_tables();
    now_at := CASE WHEN j.stage = '' THEN 1 ELSE coalesce(array_position(names, j.stage), cardinality(names) + 1) END;
  ELSE
    names := ARRAY['access', 'secrets', 'data', 'account'];
    now_at := CASE j.stage WHEN '' THEN 1 WHEN 'account' THEN 4 WHEN 'end' THEN 5
      ELSE CASE WHEN coalesce(array_position(nodeai.erase_tables(), j.position ->> 'table'), 1) <= 5 THEN 2 ELSE 3 END END;
  END IF;
  RETURN (SELECT jsonb_agg(jsonb_build_object('name', n, 'rows', coalesce((j.counts ->> n)::bigint, 0), 'status', CASE
      WHEN place < now_at THEN 'done' WHEN place = now_at AND j.status = 'running' THEN 'running' ELSE 'waiting' END)
      ORDER BY place)
    FROM unnest(names) WITH ORDINALITY AS x(n, place));
END
$$;
SELECT nodeai.expose('nodeai.job_steps(nodeai.profile_jobs)', '{}');

CREATE FUNCTION nodeai.job_json(j nodeai.profile_jobs) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = '' AS $$
DECLARE
  steps jsonb := nodeai.job_steps(j);
BEGIN
  RETURN jsonb_build_object('id', j.id, 'kind', j.kind, 'status', j.status, 'steps', steps, 'progress',
    jsonb_build_object('done', (SELECT count(*) FROM jsonb_array_elements(steps) s WHERE s ->> 'status' = 'done'),
                       'total', jsonb_array_length(steps)),
    'lines', j.lines, 'bytes', j.bytes, 'error', j.error, 'starts_at', j.starts_at,
    'created_at', j.created_at, 'updated_at', j.updated_at, 'finished_at', j.finished_at, 'expires_at', j.expires_at);
END
$$;
SELECT nodeai.expose('nodeai.job_json(nodeai.profile_jobs)', '{}');

-- Does one step of a job that is due; true when there is more to do. Two who do it at once: the second finds it taken.
-- A step that fails leaves nothing of itself; an export gives up after five, a deletion that may not begin at once.
CREATE FUNCTION nodeai.advance_job(job uuid) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  j nodeai.profile_jobs;
  reason text;
  state text;
BEGIN
  SELECT * INTO j FROM nodeai.profile_jobs x WHERE x.id = job AND x.status IN ('queued', 'running')
    AND x.starts_at <= clock_timestamp() FOR UPDATE SKIP LOCKED;
  IF j.id IS NULL THEN
    RETURN false;
  END IF;
  BEGIN
    j.status := 'running';
    j := CASE j.kind WHEN 'export' THEN nodeai.export_step(j) ELSE nodeai.erase_step(j) END;
    j.attempts := 0;
    j.error := NULL;
  EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS reason = MESSAGE_TEXT, state = RETURNED_SQLSTATE;
    RAISE WARNING 'job %: %', job, reason;
    SELECT * INTO j FROM nodeai.profile_jobs x WHERE x.id = job;
    j.attempts := j.attempts + 1;
    IF state = 'NA409' OR (j.kind = 'export' AND j.attempts >= 5) THEN
      j.status := 'failed';
      j.error := CASE WHEN state = 'NA409' THEN reason ELSE 'the store could not do it' END;
      j.finished_at := clock_timestamp();
      j.expires_at := j.finished_at + interval '7 days';
    END IF;
  END;
  UPDATE nodeai.profile_jobs x SET status = j.status, stage = j.stage, position = j.position, counts = j.counts,
    orgs = j.orgs, parts = j.parts, lines = j.lines, bytes = j.bytes, attempts = j.attempts, error = j.error,
    updated_at = clock_timestamp(), finished_at = j.finished_at, expires_at = j.expires_at WHERE x.id = job;
  RETURN j.status = 'running' AND j.attempts = 0;
END
$$;
SELECT nodeai.expose('nodeai.advance_job(uuid)', '{}');

-- A caller with an API key may do this to the account only with one of the personal organisation, and one that is not
-- limited to some workflows: a team's key must not reach what its user has elsewhere.
CREATE FUNCTION nodeai.require_account_key() RETURNS void
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  claims jsonb := nodeai.claims();
BEGIN
  IF auth.uid() IS NULL OR nullif(claims -> 'key_id', 'null') IS NOT NULL AND (
      nullif(claims -> 'workflow_ids', 'null') IS NOT NULL OR NOT EXISTS (
        SELECT FROM public.organizations o
        WHERE o.id = (claims ->> 'org_id')::uuid AND o.kind = 'personal' AND o.created_by = auth.uid())) THEN
    RAISE EXCEPTION 'not with this key' USING ERRCODE = 'insufficient_privilege';
  END IF;
END
$$;
SELECT nodeai.expose('nodeai.require_account_key()', '{authenticated}');

-- {"id"} → the job. The archive of an earlier export makes way.
CREATE FUNCTION nodeai.do_profile_export(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  j nodeai.profile_jobs;
BEGIN
  PERFORM nodeai.require_account_key();
  IF EXISTS (SELECT FROM nodeai.profile_jobs x
             WHERE x.user_id = auth.uid() AND x.kind = 'export' AND x.status IN ('queued', 'running')) THEN
    RAISE EXCEPTION 'an export is at work already' USING ERRCODE = 'NA409';
  END IF;
  DELETE FROM nodeai.profile_jobs x WHERE x.user_id = auth.uid() AND x.kind = 'export';
  INSERT INTO nodeai.profile_jobs (id, user_id, kind, orgs) VALUES ((p #>> '{args,id}')::uuid, auth.uid(), 'export',
    ARRAY(SELECT m.org_id FROM public.organization_members m WHERE m.user_id = auth.uid() ORDER BY m.org_id))
    RETURNING * INTO j;
  RETURN jsonb_build_object('body', nodeai.job_json(j));
END
$$;
SELECT nodeai.expose('nodeai.do_profile_export(uuid, jsonb)', '{authenticated}');

-- {"id","start_in_s"} → the job.
CREATE FUNCTION nodeai.do_profile_deletion(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  j nodeai.profile_jobs;
BEGIN
  PERFORM nodeai.require_account_key();
  IF EXISTS (SELECT FROM nodeai.profile_jobs x
             WHERE x.user_id = auth.uid() AND x.kind = 'deletion' AND x.status IN ('queued', 'running')) THEN
    RAISE EXCEPTION 'a deletion waits or is at work already' USING ERRCODE = 'NA409';
  END IF;
  PERFORM nodeai.require_successors(auth.uid());
  INSERT INTO nodeai.profile_jobs (id, user_id, kind, starts_at) VALUES ((p #>> '{args,id}')::uuid, auth.uid(), 'deletion',
    clock_timestamp() + coalesce((p #>> '{args,start_in_s}')::integer, 0) * interval '1 second') RETURNING * INTO j;
  RETURN jsonb_build_object('body', nodeai.job_json(j));
END
$$;
SELECT nodeai.expose('nodeai.do_profile_deletion(uuid, jsonb)', '{authenticated}');

-- {"id"} → the job. An export can be stopped at any time, a deletion until it begins.
CREATE FUNCTION nodeai.do_profile_job_cancel(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  j nodeai.profile_jobs;
BEGIN
  PERFORM nodeai.require_account_key();
  SELECT * INTO j FROM nodeai.profile_jobs x WHERE x.id = (p #>> '{args,id}')::uuid AND x.user_id = auth.uid() FOR UPDATE;
  IF j.id IS NULL THEN
    RAISE EXCEPTION 'missing' USING ERRCODE = 'NA404';
  ELSIF j.status NOT IN ('queued', 'running') OR j.kind = 'deletion' AND j.status <> 'queued' THEN
    RAISE EXCEPTION 'the job is % and cannot be cancelled', j.status USING ERRCODE = 'NA409';
  END IF;
  DELETE FROM nodeai.profile_archives a WHERE a.job_id = j.id;
  UPDATE nodeai.profile_jobs x SET status = 'cancelled', parts = 0, lines = 0, bytes = 0, updated_at = clock_timestamp(),
    finished_at = clock_timestamp(), expires_at = clock_timestamp() + interval '7 days' WHERE x.id = j.id RETURNING * INTO j;
  RETURN jsonb_build_object('body', nodeai.job_json(j));
END
$$;
SELECT nodeai.expose('nodeai.do_profile_job_cancel(uuid, jsonb)', '{authenticated}');

-- One of the caller's jobs, a step further with "advance": {"id","advance"?} → the job with "more", or null.
CREATE FUNCTION nodeai.own_job(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  j nodeai.profile_jobs;
  more boolean := false;
BEGIN
  IF NOT EXISTS (SELECT FROM nodeai.profile_jobs x WHERE x.id = (p ->> 'id')::uuid AND x.user_id = auth.uid()) THEN
    RETURN NULL;
  END IF;
  IF (p ->> 'advance')::boolean THEN
    more := nodeai.advance_job((p ->> 'id')::uuid);
  END IF;
  SELECT * INTO j FROM nodeai.profile_jobs x WHERE x.id = (p ->> 'id')::uuid;
  RETURN nodeai.job_json(j) || jsonb_build_object('more', more);
END
$$;
SELECT nodeai.expose('nodeai.own_job(jsonb)', '{authenticated}');

CREATE FUNCTION public.profile_job(p jsonb) RETURNS jsonb
LANGUAGE sql VOLATILE SET search_path = '' AS $$ SELECT nodeai.own_job(p) $$;
SELECT nodeai.expose('public.profile_job(jsonb)', '{authenticated}');

-- The caller's jobs, newest first: there are few, since the old ones expire.
CREATE FUNCTION nodeai.own_jobs() RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
  SELECT coalesce(jsonb_agg(nodeai.job_json(j) ORDER BY j.id DESC), '[]')
  FROM (SELECT * FROM nodeai.profile_jobs x WHERE x.user_id = (SELECT auth.uid()) ORDER BY x.id DESC LIMIT 100) j
$$;
SELECT nodeai.expose('nodeai.own_jobs()', '{authenticated}');

CREATE FUNCTION public.profile_jobs(p jsonb) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = '' AS $$ SELECT nodeai.own_jobs() $$;
SELECT nodeai.expose('public.profile_jobs(jsonb)', '{authenticated}');

-- One part of a finished export of the caller's: {"id","number"} → {"body","parts","bytes"} or null.
CREATE FUNCTION nodeai.own_archive(p jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' AS $$
BEGIN
  PERFORM nodeai.require_account_key();
  RETURN (SELECT jsonb_build_object('body', a.body, 'parts', j.parts, 'bytes', j.bytes)
    FROM nodeai.profile_jobs j JOIN nodeai.profile_archives a ON a.job_id = j.id AND a.number = (p ->> 'number')::integer
    WHERE j.id = (p ->> 'id')::uuid AND j.user_id = auth.uid() AND j.status = 'done' AND j.expires_at > clock_timestamp());
END
$$;
SELECT nodeai.expose('nodeai.own_archive(jsonb)', '{authenticated}');

CREATE FUNCTION public.profile_archive(p jsonb) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = '' AS $$ SELECT nodeai.own_archive(p) $$;
SELECT nodeai.expose('public.profile_archive(jsonb)', '{authenticated}');
SELECT nodeai.allow_call(fn) FROM unnest(ARRAY['profile_job', 'profile_jobs', 'profile_archive']) fn;

-- Moves on what nobody asks for, up to 200 steps, and forgets what has expired.
CREATE FUNCTION nodeai.keep_jobs() RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  job uuid;
  steps integer := 0;
  n bigint;
BEGIN
  FOR job IN SELECT j.id FROM nodeai.profile_jobs j WHERE j.status IN ('queued', 'running')
             AND j.starts_at <= now() ORDER BY j.starts_at LIMIT 20 LOOP
    WHILE steps < 200 LOOP
      steps := steps + 1;
      EXIT WHEN NOT nodeai.advance_job(job);
    END LOOP;
  END LOOP;
  DELETE FROM nodeai.profile_jobs j WHERE j.expires_at < now();
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN jsonb_build_object('job_steps', steps, 'jobs_expired', n);
END
$$;
SELECT nodeai.expose('nodeai.keep_jobs()', '{}');

CREATE OR REPLACE FUNCTION nodeai.housekeeping(p jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  today date := (now() AT TIME ZONE 'UTC')::date;
BEGIN
  RETURN jsonb_build_object('keys_used', nodeai.fold_key_usage())
    || jsonb_build_object('partitions_made', nodeai.add_partitions(today - 1, today + 7))
    || nodeai.apply_retention(today)
    || nodeai.expire()
    || nodeai.keep_jobs()
    || jsonb_build_object('runs_abandoned', nodeai.fail_abandoned());
END
$$;

-- Attacks in the audit log ---------------------------------------------------------------------------------------------------

-- An audit row for what looks like an attack, at most one a minute for the same `fold`: who repeats it fills no log. The
-- next row says how many were left out (`repeated`).
CREATE FUNCTION nodeai.note_attack(org uuid, fold text, actor uuid, actor_key uuid, entry jsonb) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  now_us bigint := nodeai.to_us(clock_timestamp());
  due boolean;
  before bigint;
BEGIN
  -- `uses` counts since the last row, `last_us` keeps that count when a row is written.
  INSERT INTO nodeai.rate_limit_buckets AS b (id, tat_us, admitted, uses, last_us)
    VALUES (md5('attack ' || org::text || ' ' || fold)::uuid, now_us + 60000000, true, 0, 0)
  ON CONFLICT (id) DO UPDATE SET
    admitted = b.tat_us <= now_us,
    tat_us = CASE WHEN b.tat_us <= now_us THEN excluded.tat_us ELSE b.tat_us END,
    last_us = CASE WHEN b.tat_us <= now_us THEN b.uses ELSE b.last_us END,
    uses = CASE WHEN b.tat_us <= now_us THEN 0 ELSE b.uses + 1 END
  RETURNING b.admitted, b.last_us INTO due, before;
  IF due THEN
    PERFORM nodeai.append_audit(org, actor, actor_key, entry || jsonb_build_object('details',
      coalesce(nullif(entry -> 'details', 'null'), '{}')
      || CASE WHEN before > 0 THEN jsonb_build_object('repeated', before) ELSE '{}' END));
  END IF;
END
$$;
SELECT nodeai.expose('nodeai.note_attack(uuid, text, uuid, uuid, jsonb)', '{}');

-- What a member's request met that must not pass unseen: {"org_id","action","resource_type","resource_id","request_id"}.
CREATE FUNCTION nodeai.note_tampering(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  org uuid := coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
BEGIN
  IF NOT coalesce(org = ANY (nodeai.orgs_with('viewer')), false) OR p ->> 'action' !~ '^[a-z_]{1,40}\.tampered$' THEN
    RAISE EXCEPTION 'not a member' USING ERRCODE = 'insufficient_privilege';
  END IF;
  PERFORM nodeai.note_attack(org, (p ->> 'action') || ' ' || (p ->> 'resource_id'), auth.uid(),
    nullif(nodeai.claims() ->> 'key_id', '')::uuid,
    nodeai.some_of(p, '["action","resource_type","resource_id","request_id"]'));
  RETURN '{}';
END
$$;
SELECT nodeai.expose('nodeai.note_tampering(jsonb)', '{authenticated}');

CREATE FUNCTION public.tampering_note(p jsonb) RETURNS jsonb
LANGUAGE sql VOLATILE SET search_path = '' AS $$ SELECT nodeai.note_tampering(p) $$;
SELECT nodeai.expose('public.tampering_note(jsonb)', '{authenticated}');
SELECT nodeai.allow_call('tampering_note');

-- Which refusals of admission are noted: credentials that were taken away, strangers who choose an organisation, and
-- members who reach for what only admins have.
DROP FUNCTION nodeai.note_refusal(uuid, uuid, uuid, text, bigint, text);
CREATE FUNCTION nodeai.note_refusal(outcome text, org uuid, caller uuid, key uuid, p jsonb) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  chosen uuid := (p ->> 'org_id')::uuid;
  stranger boolean := outcome = 'not_a_member' AND chosen IS NOT NULL;
  home uuid := CASE WHEN stranger THEN chosen ELSE org END;
BEGIN
  IF NOT (outcome IN ('key_revoked', 'key_expired', 'ip_refused') OR stranger OR outcome = 'scope_missing'
      AND p ->> 'scope' = ANY (ARRAY['secrets:reveal', 'secrets:rotate', 'secrets:write', 'api-keys:write',
        'profiles:write', 'profiles:export', 'profiles:delete', 'rate-limits:write']))
     OR NOT EXISTS (SELECT FROM public.organizations o WHERE o.id = home) THEN
    RETURN;
  END IF;
  -- All strangers share one row a minute: there is no end of them.
  PERFORM nodeai.note_attack(home, outcome || ' ' || CASE WHEN stranger THEN '' ELSE coalesce(key, caller)::text END,
    caller, key, jsonb_build_object('action', 'auth.refused',
      'resource_type', CASE WHEN key IS NULL THEN 'user' ELSE 'api_key' END, 'resource_id', coalesce(key, caller),
      'details', jsonb_strip_nulls(jsonb_build_object('reason', outcome, 'ip', p ->> 'ip', 'route', p ->> 'route',
        'scope', CASE WHEN outcome = 'scope_missing' THEN p ->> 'scope' END))));
END
$$;
SELECT nodeai.expose('nodeai.note_refusal(text, uuid, uuid, uuid, jsonb)', '{}');

-- The deletion that took a user's account after the token was issued (`iat`; a token that does not say counts as older).
CREATE FUNCTION nodeai.erased_since(member uuid, claims jsonb) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
  SELECT EXISTS (SELECT FROM nodeai.profile_jobs j
    WHERE j.user_id = member AND j.kind = 'deletion' AND j.status = 'done'
      AND coalesce(CASE WHEN jsonb_typeof(claims -> 'iat') = 'number' THEN (claims ->> 'iat')::numeric END, 0)
        <= extract(epoch FROM j.finished_at))
$$;
SELECT nodeai.expose('nodeai.erased_since(uuid, jsonb)', '{}');

-- As before; and an account that is being deleted is shown its job and nothing else, one that was deleted the receipt.
CREATE OR REPLACE FUNCTION nodeai.admit(p jsonb) RETURNS TABLE (principal jsonb, claims text, role text)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER ROWS 1 SET search_path = '' AS $$
#variable_conflict use_column
DECLARE
  at timestamptz := clock_timestamp();
  now_us bigint := (extract(epoch FROM at) * 1000000)::bigint;
  wanted text := p ->> 'scope';
  sub text := p -> 'claims' ->> 'sub';
  asks_for_job boolean := p ->> 'route' = 'GET /api/v1/profiles/me/jobs/{id}';
  erased boolean := false;
  r record;
  held text[];
  outcome text := 'ok';
  rate jsonb;
BEGIN
  IF p ->> 'kind' = 'api_key' THEN
    SELECT k.user_id, k.org_id, m.role AS member_role, k.id AS key_id, k.scopes, k.workflow_ids, k.ip_allow,
           k.expires_at, k.revoked_at, o.rate_per_minute AS org_rate, o.rate_burst AS org_burst,
           k.rate_per_minute AS key_rate, k.rate_burst AS key_burst
      INTO r
      FROM public.api_keys k
      JOIN public.organizations o ON o.id = k.org_id
      LEFT JOIN public.organization_members m ON m.user_id = k.user_id AND m.org_id = k.org_id
      WHERE k.key_hash = p ->> 'key_hash';
    outcome := CASE
      WHEN r.key_id IS NULL THEN 'unknown_key'
      WHEN r.revoked_at IS NOT NULL THEN 'key_revoked'
      WHEN r.expires_at <= at THEN 'key_expired'
      WHEN r.member_role IS NULL THEN 'not_a_member'
      WHEN (p ->> 'org_id')::uuid <> r.org_id THEN 'not_a_member'
      WHEN r.ip_allow IS NOT NULL
        AND NOT coalesce(nullif(p ->> 'ip', '')::inet <<= ANY (r.ip_allow), false) THEN 'ip_refused'
      WHEN NOT (nodeai.scope_covers(r.scopes, wanted)
        AND nodeai.scope_covers(nodeai.scopes_of(r.member_role), wanted)) THEN 'scope_missing'
      ELSE 'ok' END;
    held := r.scopes;
  ELSE
    IF sub IS NULL OR sub !~* '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$' THEN
      RETURN QUERY SELECT jsonb_build_object('outcome', 'not_a_member', 'now_us', now_us), '{"role":"anon"}', 'anon';
      RETURN;
    END IF;
    FOR attempt IN 1..2 LOOP
      SELECT u.id AS user_id, m.org_id, m.role AS member_role, NULL::uuid AS key_id, NULL::uuid[] AS workflow_ids,
             o.rate_per_minute AS org_rate, o.rate_burst AS org_burst,
             NULL::integer AS key_rate, NULL::integer AS key_burst, u.deleting_at
        INTO r
        FROM public.profiles u
        LEFT JOIN public.organization_members m
          ON m.user_id = u.id AND m.org_id = coalesce((p ->> 'org_id')::uuid, u.default_org_id)
        LEFT JOIN public.organizations o ON o.id = m.org_id
        WHERE u.id = sub::uuid;
      EXIT WHEN r.user_id IS NOT NULL OR attempt = 2;
      erased := nodeai.erased_since(sub::uuid, p -> 'claims');
      EXIT WHEN erased;
      PERFORM nodeai.ensure_user(sub::uuid, p -> 'claims' ->> 'email');
    END LOOP;
    held := nodeai.scopes_of(r.member_role);
    IF erased THEN
      r.user_id := sub::uuid;
      held := '{profiles:own}';
    END IF;
    outcome := CASE
      WHEN (erased OR r.deleting_at IS NOT NULL) AND asks_for_job THEN 'ok'
      WHEN erased THEN 'account_deleted'
      WHEN r.deleting_at IS NOT NULL THEN 'account_closing'
      WHEN r.member_role IS NULL THEN 'not_a_member'
      WHEN NOT nodeai.scope_covers(held, wanted) THEN 'scope_missing'
      ELSE 'ok' END;
  END IF;

  IF outcome = 'ok' THEN
    rate := nodeai.rate_take(r.org_id, r.user_id, r.key_id, p ->> 'route',
      least(r.key_rate, coalesce(r.org_rate, 6000)), least(r.key_burst, coalesce(r.org_burst, 1000)),
      now_us, coalesce((p ->> 'cost')::integer, 1));
    IF NOT (rate ->> 'admitted')::boolean THEN
      outcome := 'rate_limited';
    END IF;
  ELSE
    PERFORM nodeai.note_refusal(outcome, r.org_id, r.user_id, r.key_id, p);
  END IF;

  principal := jsonb_build_object(
    'outcome', outcome, 'user_id', r.user_id, 'org_id', r.org_id, 'member_role', r.member_role, 'key_id', r.key_id,
    'scopes', coalesce(held, '{}'), 'workflow_ids', r.workflow_ids, 'rate', rate, 'now_us', now_us);
  IF outcome = 'ok' THEN
    role := 'authenticated';
    claims := jsonb_build_object(
      'sub', r.user_id, 'role', 'authenticated', 'org_id', r.org_id, 'member_role', r.member_role,
      'key_id', r.key_id, 'scopes', held, 'workflow_ids', r.workflow_ids, 'nonce', p ->> 'nonce')::text;
  ELSE
    role := 'anon';
    claims := '{"role":"anon"}';
  END IF;
  RETURN NEXT;
END
$$;

-- As before; and who uses a link that is over is noted in the log of its owner.
CREATE OR REPLACE FUNCTION nodeai.open_share(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  rate jsonb := nodeai.bucket_take(md5('link ' || coalesce(p ->> 'ip', ''))::uuid, 'links', 300, 100,
    nodeai.to_us(clock_timestamp()), 1, true);
  s public.workflow_shares;
  shown jsonb;
BEGIN
  IF (rate ->> 'admitted')::boolean THEN
    SELECT * INTO s FROM public.workflow_shares x WHERE x.token_hash = p ->> 'token_hash';
    IF s.expires_at <= now() THEN
      PERFORM nodeai.note_attack(s.org_id, 'share ' || s.id::text, NULL, NULL, jsonb_build_object('action', 'share.refused',
        'resource_type', 'share', 'resource_id', s.id, 'details', jsonb_strip_nulls(jsonb_build_object(
          'reason', 'expired', 'ip', p ->> 'ip'))));
    ELSE
      SELECT jsonb_build_object('id', w.id, 'name', w.name, 'description', w.description, 'version', w.version,
          'definition', w.definition)
        INTO shown FROM public.workflows w WHERE w.id = s.workflow_id AND w.deleted_at IS NULL;
    END IF;
  END IF;
  RETURN jsonb_build_object('workflow', shown, 'rate', rate || jsonb_build_object('policies', jsonb_build_array(
    jsonb_build_object('policy', rate -> 'policy', 'limit', rate -> 'limit', 'window_s', rate -> 'window_s'))));
END
$$;

-- Runs -----------------------------------------------------------------------------------------------------------------------

-- What a deployed run ran with: the deployment as it was, and the variables under it (its own over the document's).
ALTER TABLE public.execution_queue ADD COLUMN deployment_version integer, ADD COLUMN environment text,
  ADD COLUMN variables jsonb;

CREATE OR REPLACE FUNCTION nodeai.execution_json(e public.execution_queue) RETURNS jsonb LANGUAGE sql STABLE
  RETURN jsonb_build_object(
    'id', e.id, 'org_id', e.org_id, 'workflow_id', e.workflow_id, 'workflow_version', e.workflow_version,
    'deployment_id', e.deployment_id, 'deployment_version', e.deployment_version, 'environment', e.environment,
    'variables', e.variables,
    'trace_id', e.trace_id, 'user_id', e.user_id, 'key_id', e.key_id, 'status', e.status, 'mode', e.mode,
    'inputs', e.inputs, 'outputs', e.outputs, 'error', e.error, 'prompt_tokens', e.prompt_tokens,
    'completion_tokens', e.completion_tokens, 'cost_pusd', e.cost_pusd, 'attempts', e.attempts,
    'lease_token', e.lease_token, 'cancel_requested', e.cancel_requested_at IS NOT NULL,
    'created_us', nodeai.to_us(e.created_at), 'started_us', nodeai.to_us(e.started_at),
    'finished_us', nodeai.to_us(e.finished_at), 'heartbeat_us', nodeai.to_us(e.heartbeat_at));

-- As before; and a run whose host is gone gives its key to whoever repeats the request: nobody was answered, so the
-- repetition runs again. (One that was cancelled stays so.)
CREATE OR REPLACE FUNCTION nodeai.claimed_run(org uuid, claim jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  e public.execution_queue;
BEGIN
  SELECT * INTO e FROM public.execution_queue q
    WHERE q.org_id = org AND q.idempotency_principal = nodeai.principal_id() AND q.idempotency_key = claim ->> 'key';
  IF e.id IS NULL THEN
    RETURN NULL;
  ELSIF e.idempotency_hash IS DISTINCT FROM claim ->> 'request_hash' THEN
    RETURN '{"outcome":"key_reused"}';
  ELSIF e.cancel_requested_at IS NULL AND e.mode IN ('sync', 'stream')
      AND (e.status = 'running' AND e.lease_until < clock_timestamp()
        OR e.status = 'failed' AND e.error ->> 'kind' = 'abandoned') THEN
    UPDATE public.execution_queue q SET
      status = 'failed', finished_at = coalesce(q.finished_at, clock_timestamp()),
      error = coalesce(q.error, '{"kind":"abandoned","message":"the host that ran this execution is gone"}'),
      idempotency_key = NULL, idempotency_principal = NULL, idempotency_hash = NULL
    WHERE q.id = e.id AND q.org_id = org AND q.idempotency_key IS NOT NULL
      AND (q.status = 'running' AND q.lease_until < clock_timestamp()
        OR q.status = 'failed' AND q.error ->> 'kind' = 'abandoned');
    IF FOUND THEN
      RETURN NULL;
    END IF;
    RETURN nodeai.claimed_run(org, claim); -- somebody else was faster, or the host lives
  END IF;
  RETURN jsonb_build_object('outcome', 'replayed', 'execution', nodeai.execution_json(e));
END
$$;

-- As before, with the whole deployment instead of its id: {"id","version","environment","variables"} or null.
DROP FUNCTION nodeai.begin_run(uuid, jsonb, jsonb, jsonb, uuid);
CREATE FUNCTION nodeai.begin_run(org uuid, e jsonb, claim jsonb, workflow jsonb, deployment jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  started timestamptz := coalesce(nodeai.from_us((e ->> 'started_us')::bigint), clock_timestamp());
  state text := coalesce(e ->> 'status', CASE WHEN e ->> 'mode' = 'queued' THEN 'queued' ELSE 'running' END);
  made public.execution_queue;
BEGIN
  INSERT INTO public.execution_queue (
    id, org_id, workflow_id, workflow_version, deployment_id, deployment_version, environment, variables,
    trace_id, user_id, key_id, status, mode, definition, inputs,
    priority, run_after, attempts, lease_token, lease_until, heartbeat_at, started_at,
    idempotency_principal, idempotency_key, idempotency_hash)
  VALUES (
    (e ->> 'id')::uuid, org, (workflow ->> 'id')::uuid, (workflow ->> 'version')::integer,
    (deployment ->> 'id')::uuid, (deployment ->> 'version')::integer, deployment ->> 'environment',
    CASE WHEN deployment IS NOT NULL THEN workflow #> '{definition,vars}' END,
    e ->> 'trace_id', auth.uid(), nullif(nodeai.claims() ->> 'key_id', '')::uuid, state, coalesce(e ->> 'mode', 'sync'),
    CASE WHEN workflow IS NULL THEN nullif(e -> 'definition', 'null') END, e -> 'inputs',
    coalesce((e ->> 'priority')::integer, 0), nodeai.from_us((e ->> 'run_after_us')::bigint),
    CASE WHEN state = 'queued' THEN 0 ELSE 1 END, CASE WHEN state = 'queued' THEN 0 ELSE 1 END,
    CASE WHEN state <> 'queued' THEN clock_timestamp()
      + coalesce((e ->> 'lease_us')::bigint, 3600000000) * interval '1 microsecond' END,
    CASE WHEN state <> 'queued' THEN clock_timestamp() END, CASE WHEN state <> 'queued' THEN started END,
    CASE WHEN claim IS NOT NULL THEN nodeai.principal_id() END, claim ->> 'key', claim ->> 'request_hash')
  ON CONFLICT (org_id, idempotency_principal, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
  RETURNING * INTO made;
  IF made.id IS NULL THEN
    RETURN nodeai.claimed_run(org, claim); -- another request with this key was faster
  END IF;
  RETURN jsonb_build_object('outcome', 'started', 'execution', nodeai.execution_json(made), 'workflow', workflow);
END
$$;
SELECT nodeai.expose('nodeai.begin_run(uuid, jsonb, jsonb, jsonb, jsonb)', '{authenticated,service_role}');

CREATE OR REPLACE FUNCTION public.deployment_start(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  e jsonb := p -> 'execution';
  org uuid := coalesce(nullif(e ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  claim jsonb := nullif(p -> 'idempotency', 'null');
  earlier jsonb := CASE WHEN claim IS NOT NULL THEN nodeai.claimed_run(org, claim) END;
  who text := coalesce(nullif(e ->> 'sticky_key', ''), nodeai.principal_id()::text);
  named text := e ->> 'deployment';
  d public.deployments;
  workflow jsonb;
BEGIN
  IF earlier IS NOT NULL THEN
    RETURN earlier;
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
  RETURN nodeai.begin_run(org, e, claim, workflow, to_jsonb(d)) || jsonb_build_object('environment', d.environment);
EXCEPTION WHEN insufficient_privilege THEN
  RETURN '{"outcome":"forbidden"}';
END
$$;
