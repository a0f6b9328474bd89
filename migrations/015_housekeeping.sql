-- Housekeeping: partitions ahead, retention, what has expired, what was left behind by a host that died.

-- Deletes telemetry past the retention of its organisation; whole days past everybody's go with their partition.
CREATE FUNCTION nodeai.apply_retention(today date) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  longest integer := (SELECT coalesce(max(o.retention_days), 30) FROM public.organizations o);
  org record;
  touched bigint;
  deleted bigint := 0;
BEGIN
  FOR org IN SELECT o.id, today - o.retention_days AS first_kept FROM public.organizations o
             WHERE o.retention_days < longest LOOP
    DELETE FROM public.spans s USING public.trace_days d
      WHERE d.org_id = org.id AND d.day < org.first_kept
        AND s.org_id = d.org_id AND s.trace_id = d.trace_id AND s.day = d.day;
    GET DIAGNOSTICS touched = ROW_COUNT;
    deleted := deleted + touched;
    DELETE FROM public.traces t WHERE t.org_id = org.id AND t.day < org.first_kept;
    DELETE FROM public.usage_logs u WHERE u.org_id = org.id AND u.day < org.first_kept;
    DELETE FROM public.trace_days d WHERE d.org_id = org.id AND d.day < org.first_kept;
  END LOOP;
  RETURN jsonb_build_object('spans_deleted', deleted, 'partitions_dropped', nodeai.drop_partitions(today - longest));
END
$$;
SELECT nodeai.expose('nodeai.apply_retention(date)', '{}');

-- Removes what has run out; each sum is a count of rows.
CREATE FUNCTION nodeai.expire() RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  answer jsonb := '{}';
  n bigint;
BEGIN
  DELETE FROM nodeai.idempotency_keys i WHERE i.expires_at < now();
  GET DIAGNOSTICS n = ROW_COUNT;
  answer := answer || jsonb_build_object('idempotency_keys', n);
  UPDATE public.execution_queue q SET idempotency_key = NULL, idempotency_principal = NULL, idempotency_hash = NULL
    WHERE q.idempotency_key IS NOT NULL AND q.created_at < now() - interval '24 hours'
      AND q.status NOT IN ('queued', 'running', 'waiting');
  GET DIAGNOSTICS n = ROW_COUNT;
  answer := answer || jsonb_build_object('run_claims', n);
  DELETE FROM public.oauth_states s WHERE s.expires_at < now();
  GET DIAGNOSTICS n = ROW_COUNT;
  answer := answer || jsonb_build_object('oauth_states', n);
  DELETE FROM public.workflows w WHERE w.deleted_at < now() - interval '30 days';
  GET DIAGNOSTICS n = ROW_COUNT;
  answer := answer || jsonb_build_object('workflows', n);
  DELETE FROM public.file_chunks c USING public.file_uploads u
    WHERE u.expires_at < now() AND c.org_id = u.org_id AND c.object_id = u.id;
  DELETE FROM public.file_uploads u WHERE u.expires_at < now();
  GET DIAGNOSTICS n = ROW_COUNT;
  answer := answer || jsonb_build_object('file_uploads', n);
  DELETE FROM nodeai.rate_limit_buckets b
    WHERE b.tat_us < nodeai.to_us(clock_timestamp()) - 3600000000::bigint;
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN answer || jsonb_build_object('rate_limit_buckets', n);
END
$$;
SELECT nodeai.expose('nodeai.expire()', '{}');

-- Runs whose lease ran out under a host that is gone: what answers a waiting client cannot be taken up again.
CREATE FUNCTION nodeai.fail_abandoned() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  n bigint;
BEGIN
  UPDATE public.execution_queue q SET
    status = CASE WHEN q.cancel_requested_at IS NULL THEN 'failed' ELSE 'cancelled' END,
    error = '{"kind":"abandoned","message":"the host that ran this execution is gone"}', finished_at = clock_timestamp()
  WHERE q.status = 'running' AND q.mode IN ('sync', 'stream') AND q.lease_until < clock_timestamp();
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN n;
END
$$;
SELECT nodeai.expose('nodeai.fail_abandoned()', '{}');

-- All of it; to be called once in a while, more often does no harm. {} → counts.
CREATE FUNCTION nodeai.housekeeping(p jsonb) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  today date := (now() AT TIME ZONE 'UTC')::date;
BEGIN
  RETURN jsonb_build_object('partitions_made', nodeai.add_partitions(today - 1, today + 7))
    || nodeai.apply_retention(today)
    || nodeai.expire()
    || jsonb_build_object('runs_abandoned', nodeai.fail_abandoned());
END
$$;
SELECT nodeai.expose('nodeai.housekeeping(jsonb)', '{service_role}');

CREATE FUNCTION public.housekeeping(p jsonb) RETURNS jsonb
LANGUAGE sql VOLATILE SET search_path = '' AS $$ SELECT nodeai.housekeeping(p) $$;
SELECT nodeai.expose('public.housekeeping(jsonb)', '{service_role}');
