-- Two that come at once: callers of one bucket, and attempts that a receiver has told to be silent.

-- As before; but who read the clock before it waited for the bucket's row is counted at the time at which the row was taken last, not
-- as if the others' time were its own: of callers at once, as many pass as the burst says.
CREATE OR REPLACE FUNCTION nodeai.bucket_take(
  bucket uuid, policy text, per_minute bigint, burst bigint, now_us bigint, cost integer, take boolean)
RETURNS jsonb LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  step bigint := greatest(1, 60000000 / bucket_take.per_minute);
  increment bigint := step * cost;
  room bigint := step * bucket_take.burst;
  tat bigint;
  admitted boolean;
  at_us bigint;
BEGIN
  INSERT INTO nodeai.rate_limit_buckets AS b (id, tat_us, admitted, uses, last_us)
    VALUES (bucket, CASE WHEN take THEN now_us + increment ELSE now_us END, true, take::integer, now_us)
  ON CONFLICT (id) DO UPDATE SET
    admitted = greatest(b.tat_us, b.last_us, now_us) + increment - greatest(b.last_us, now_us) <= room,
    tat_us = CASE WHEN take AND greatest(b.tat_us, b.last_us, now_us) + increment - greatest(b.last_us, now_us) <= room
                  THEN greatest(b.tat_us, b.last_us, now_us) + increment ELSE b.tat_us END,
    uses = b.uses + take::integer, last_us = CASE WHEN take THEN greatest(b.last_us, now_us) ELSE b.last_us END
  RETURNING b.tat_us, b.admitted, greatest(b.last_us, now_us) INTO tat, admitted, at_us;
  RETURN jsonb_build_object('policy', policy, 'admitted', admitted,
    'limit', bucket_take.per_minute, 'window_s', 60, 'burst', bucket_take.burst,
    'remaining', greatest(0, (room - greatest(0, tat - at_us) - CASE WHEN take THEN 0 ELSE increment END) / step),
    'reset_ms', greatest(0, (tat - at_us + CASE WHEN take OR NOT admitted THEN 0 ELSE increment END + 999) / 1000),
    'retry_after_ms', CASE WHEN admitted THEN 0
      ELSE greatest(1, (greatest(tat, at_us) + increment - at_us - room + 999) / 1000) END);
END
$$;

-- As before, by the same clock.
CREATE OR REPLACE FUNCTION nodeai.rate_take(
  org uuid, caller uuid, key uuid, wanted_route text, own_rate bigint, own_burst bigint, now_us bigint, cost integer)
RETURNS jsonb LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  policy record;
  state jsonb;
  states jsonb[] := '{}';
  buckets uuid[] := '{}';
  tightest jsonb;
BEGIN
  FOR policy IN SELECT * FROM nodeai.policies_of(org, caller, key, wanted_route) LOOP
    state := nodeai.bucket_take(policy.bucket, policy.name, policy.per_minute, policy.burst, now_us, cost, false);
    states := states || state;
    buckets := buckets || policy.bucket;
  END LOOP;
  IF NOT EXISTS (SELECT FROM unnest(states) s WHERE NOT (s ->> 'admitted')::boolean) THEN
    state := nodeai.bucket_take(coalesce(key, caller), 'default', own_rate, own_burst, now_us, cost, true);
    IF (state ->> 'admitted')::boolean AND cardinality(buckets) > 0 THEN
      UPDATE nodeai.rate_limit_buckets b
        SET tat_us = greatest(b.tat_us, b.last_us, now_us) + (60000000 / p.per_minute) * cost, uses = b.uses + 1,
          last_us = greatest(b.last_us, now_us)
        FROM nodeai.policies_of(org, caller, key, wanted_route) p WHERE b.id = p.bucket;
    END IF;
    states := states || state;
  END IF;
  SELECT s INTO tightest FROM unnest(states) s
    ORDER BY (s ->> 'admitted')::boolean, (s ->> 'retry_after_ms')::bigint DESC,
             (s ->> 'remaining')::numeric / (s ->> 'burst')::numeric LIMIT 1;
  RETURN tightest || jsonb_build_object('policies', (
    SELECT jsonb_agg(jsonb_build_object('policy', s -> 'policy', 'limit', s -> 'limit', 'window_s', s -> 'window_s'))
    FROM unnest(states) s));
END
$$;

-- As before; and the webhook's row is held first: two that put its deliveries off would take them in two orders.
CREATE OR REPLACE FUNCTION public.webhook_settle(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  said text := p ->> 'outcome';
  tried jsonb := p -> 'attempt';
  until timestamptz := nodeai.from_us((p ->> 'throttle_us')::bigint);
  disabled boolean := false;
  d public.webhook_deliveries;
BEGIN
  IF until IS NOT NULL THEN
    PERFORM FROM public.webhooks w WHERE w.id = (SELECT x.webhook_id FROM public.webhook_deliveries x
      WHERE x.id = (p ->> 'id')::uuid) FOR NO KEY UPDATE;
  END IF;
  UPDATE public.webhook_deliveries x SET
      status = CASE WHEN said = 'delivered' THEN 'delivered' WHEN said <> 'retry' THEN 'failed'
        WHEN w.disabled_at IS NULL THEN 'pending' ELSE 'cancelled' END,
      next_at = CASE WHEN said = 'retry' AND w.disabled_at IS NULL THEN nodeai.from_us((p ->> 'next_us')::bigint) END,
      step = x.step + CASE WHEN said = 'retry' THEN 1 ELSE 0 END,
      delivered_at = CASE WHEN said = 'delivered' THEN clock_timestamp() ELSE x.delivered_at END,
      lease_until = NULL, updated_at = clock_timestamp()
    FROM public.webhooks w
    WHERE w.id = x.webhook_id AND x.id = (p ->> 'id')::uuid AND x.status = 'delivering'
      AND x.lease_token = (p ->> 'lease_token')::bigint
    RETURNING x.* INTO d;
  IF d.id IS NULL THEN
    RETURN '{"outcome":"fenced"}';
  END IF;
  INSERT INTO public.webhook_attempts (id, org_id, delivery_id, number, status, error, request, response, duration_us, at)
    VALUES ((tried ->> 'id')::uuid, d.org_id, d.id, d.attempts, (tried ->> 'status')::integer, tried ->> 'error',
      nullif(tried -> 'request', 'null'), nullif(tried -> 'response', 'null'), (tried ->> 'duration_us')::bigint,
      nodeai.from_us((tried ->> 'at_us')::bigint));
  IF until IS NOT NULL THEN
    UPDATE public.webhooks w SET throttled_until = until
      WHERE w.id = d.webhook_id AND coalesce(w.throttled_until, '-infinity') < until;
    UPDATE public.webhook_deliveries x SET next_at = until
      WHERE x.webhook_id = d.webhook_id AND x.status = 'pending' AND x.next_at < until;
  END IF;
  IF said = 'gone' OR said = 'exhausted' AND NOT EXISTS (SELECT FROM public.webhook_deliveries x
      WHERE x.webhook_id = d.webhook_id AND x.delivered_at > d.created_at) THEN
    disabled := nodeai.disable_webhook(d.webhook_id, p ->> 'reason');
  END IF;
  RETURN jsonb_build_object('outcome', 'settled', 'status', d.status, 'disabled', disabled);
END
$$;
