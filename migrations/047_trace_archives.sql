-- Days of spans kept in an object store before retention removes them: where somebody keeps them, none is removed that is not there yet.

CREATE TABLE public.trace_archives (
  id uuid PRIMARY KEY,
  org_id uuid NOT NULL CONSTRAINT trace_archives_org REFERENCES public.organizations (id) ON DELETE CASCADE,
  day date NOT NULL,
  status text NOT NULL DEFAULT 'writing' CONSTRAINT trace_archives_status CHECK (status IN ('writing', 'done')),
  backend text NOT NULL CONSTRAINT trace_archives_backend CHECK (backend IN ('s3', 'supabase')),
  object_key text NOT NULL,
  spans bigint CONSTRAINT trace_archives_spans CHECK (spans >= 0),
  size_bytes bigint CONSTRAINT trace_archives_size CHECK (size_bytes >= 0),
  sha256 text CONSTRAINT trace_archives_sha256 CHECK (sha256 ~ '^[0-9a-f]{64}$'),
  lease_until timestamptz,
  lease_token bigint NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL DEFAULT now(),
  finished_at timestamptz,
  CONSTRAINT trace_archives_day_unique UNIQUE (org_id, day)
);
SELECT nodeai.tenant_table('public.trace_archives');

-- When somebody last asked what is to be kept: whoever stops asking for a week does not keep anything any more.
CREATE TABLE nodeai.archive_keeper (
  one boolean PRIMARY KEY DEFAULT true CONSTRAINT archive_keeper_one CHECK (one),
  seen_at timestamptz NOT NULL
);
SELECT nodeai.lock_table('nodeai.archive_keeper');

-- Days of an organisation (of all, when null) that retention is about to remove, from tomorrow on, and that are not kept: the oldest first.
CREATE FUNCTION nodeai.archive_days(today date, org uuid) RETURNS TABLE (org_id uuid, day date)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
  WITH days AS (
    SELECT to_date(right(c.relname, 8), 'YYYYMMDD') AS day
    FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'public.spans'::regclass AND c.relname ~ '_[0-9]{8}$'
    UNION
    SELECT s.day FROM public.spans_default s
  )
  SELECT o.id, d.day FROM days d CROSS JOIN public.organizations o
  WHERE (org IS NULL OR o.id = org) AND d.day <= today - o.retention_days
    AND NOT EXISTS (SELECT FROM public.trace_archives a WHERE a.org_id = o.id AND a.day = d.day AND a.status = 'done')
    AND EXISTS (SELECT FROM public.spans s WHERE s.day = d.day AND s.org_id = o.id)
  ORDER BY d.day, o.id
$$;
SELECT nodeai.expose('nodeai.archive_days(date, uuid)', '{}');

-- {"org_id"?,"backend","lease_us"} → {"id","org_id","day","lease_token","object_key"} or null: the next day to keep, for one keeper at a time.
CREATE FUNCTION nodeai.claim_archive(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  due record;
  a public.trace_archives;
BEGIN
  INSERT INTO nodeai.archive_keeper AS k (one, seen_at) VALUES (true, clock_timestamp())
    ON CONFLICT (one) DO UPDATE SET seen_at = excluded.seen_at WHERE k.seen_at < clock_timestamp() - interval '1 minute';
  FOR due IN SELECT * FROM nodeai.archive_days((now() AT TIME ZONE 'UTC')::date, nullif(p ->> 'org_id', '')::uuid) LOOP
    INSERT INTO public.trace_archives AS x (id, org_id, day, backend, object_key, lease_until, lease_token)
      VALUES (nodeai.uuid_v7(), due.org_id, due.day, p ->> 'backend',
        format('traces/%s/%s.jsonl.gz', due.org_id, due.day),
        clock_timestamp() + (p ->> 'lease_us')::bigint * interval '1 microsecond', 1)
      ON CONFLICT (org_id, day) DO UPDATE SET backend = excluded.backend, lease_until = excluded.lease_until,
        lease_token = x.lease_token + 1
        WHERE x.status = 'writing' AND x.lease_until < clock_timestamp()
      RETURNING * INTO a;
    IF FOUND THEN
      RETURN jsonb_build_object('id', a.id, 'org_id', a.org_id, 'day', a.day, 'lease_token', a.lease_token,
        'object_key', a.object_key);
    END IF;
  END LOOP;
  RETURN NULL;
END
$$;
SELECT nodeai.expose('nodeai.claim_archive(jsonb)', '{service_role}');
CREATE FUNCTION public.archive_claim(p jsonb) RETURNS jsonb
LANGUAGE sql VOLATILE SET search_path = '' AS $$ SELECT nodeai.claim_archive(p) $$;
SELECT nodeai.expose('public.archive_claim(jsonb)', '{service_role}');

-- {"id","lease_token","lease_us","after":[trace,span]?,"most"} → {"spans":[…]} by trace and span, or null when it is somebody else's now.
CREATE FUNCTION nodeai.read_archive(p jsonb) RETURNS json
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  a public.trace_archives;
  spans text;
BEGIN
  UPDATE public.trace_archives x SET lease_until = clock_timestamp() + (p ->> 'lease_us')::bigint * interval '1 microsecond'
    WHERE x.id = (p ->> 'id')::uuid AND x.lease_token = (p ->> 'lease_token')::bigint AND x.status = 'writing'
    RETURNING * INTO a;
  IF NOT FOUND THEN
    RETURN NULL;
  END IF;
  WITH page AS MATERIALIZED (
    SELECT s AS row FROM public.spans s
    WHERE s.day = a.day AND s.org_id = a.org_id
      AND (s.trace_id, s.span_id) > (coalesce(p #>> '{after,0}', ''), coalesce(p #>> '{after,1}', ''))
    ORDER BY s.trace_id, s.span_id LIMIT (p ->> 'most')::integer
  )
  SELECT string_agg(nodeai.span_text(g.row, (g.row).attributes || coalesce(b.attributes, '{}'), coalesce(b.events, (g.row).events)),
    ', ' ORDER BY (g.row).trace_id, (g.row).span_id) INTO spans
  FROM page g LEFT JOIN public.span_payloads b
    ON b.day = a.day AND b.org_id = a.org_id AND b.trace_id = (g.row).trace_id AND b.span_id = (g.row).span_id;
  RETURN concat('{"spans": [', spans, ']}')::json;
END
$$;
SELECT nodeai.expose('nodeai.read_archive(jsonb)', '{service_role}');
CREATE FUNCTION public.archive_read(p jsonb) RETURNS json
LANGUAGE sql VOLATILE SET search_path = '' AS $$ SELECT nodeai.read_archive(p) $$;
SELECT nodeai.expose('public.archive_read(jsonb)', '{service_role}');

-- {"id","lease_token","spans","size_bytes","sha256"} → whether it counts: the day is kept. Spans that came meanwhile leave it undone.
CREATE FUNCTION nodeai.finish_archive(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  a public.trace_archives;
BEGIN
  SELECT * INTO a FROM public.trace_archives x
    WHERE x.id = (p ->> 'id')::uuid AND x.lease_token = (p ->> 'lease_token')::bigint AND x.status = 'writing' FOR UPDATE;
  IF NOT FOUND OR (SELECT count(*) FROM public.spans s WHERE s.day = a.day AND s.org_id = a.org_id)
      IS DISTINCT FROM (p ->> 'spans')::bigint THEN
    UPDATE public.trace_archives x SET lease_until = clock_timestamp() WHERE x.id = a.id;
    RETURN 'false';
  END IF;
  UPDATE public.trace_archives x SET status = 'done', spans = (p ->> 'spans')::bigint,
      size_bytes = (p ->> 'size_bytes')::bigint, sha256 = p ->> 'sha256', finished_at = clock_timestamp(), lease_until = NULL
    WHERE x.id = a.id;
  RETURN 'true';
END
$$;
SELECT nodeai.expose('nodeai.finish_archive(jsonb)', '{service_role}');
CREATE FUNCTION public.archive_finish(p jsonb) RETURNS jsonb
LANGUAGE sql VOLATILE SET search_path = '' AS $$ SELECT nodeai.finish_archive(p) $$;
SELECT nodeai.expose('public.archive_finish(jsonb)', '{service_role}');
SELECT nodeai.allow_call(fn) FROM unnest(ARRAY['archive_claim', 'archive_read', 'archive_finish']) fn;

-- Retention of traces waits for days that are to be kept. And that of run logs (026) is part of it again: 028 had replaced the function that
-- called both.
ALTER FUNCTION nodeai.apply_retention(date) RENAME TO apply_retention_to;
DROP FUNCTION nodeai.apply_trace_retention(date);
CREATE FUNCTION nodeai.apply_retention(today date) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  held date;
  shortest integer := (SELECT coalesce(min(o.retention_days), 30) FROM public.organizations o);
BEGIN
  IF EXISTS (SELECT FROM nodeai.archive_keeper k WHERE k.seen_at > clock_timestamp() - interval '7 days') THEN
    SELECT min(d.day) INTO held FROM nodeai.archive_days(today - 1, NULL) d;
  END IF;
  RETURN nodeai.apply_retention_to(least(today, held + shortest)) || nodeai.drop_run_logs(today)
    || jsonb_build_object('held_from', held);
END
$$;
SELECT nodeai.expose('nodeai.apply_retention(date)', '{}');
