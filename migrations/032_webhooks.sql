-- Outgoing webhooks: events, deliveries that are leased, retried and replayed, secrets that rotate; alert rules on a schedule.
--
-- An event is one row per subscription, written by triggers in the very transaction that made it happen: what was
-- committed is delivered, what was rolled back is not. Whoever drains takes deliveries up by a lease; what it settles with
-- a lease that is not the last one changes nothing.

-- Subscriptions ------------------------------------------------------------------------------------------------------

-- Secrets are rows of their own: several are valid while one is rotated, and each is re-wrapped by itself.
UPDATE nodeai.writable_tables SET
    insertable = ARRAY(SELECT c FROM unnest(insertable) c WHERE c <> 'secret_ciphertext') || '{public_key}'::text[],
    updatable = ARRAY(SELECT c FROM unnest(updatable) c
      WHERE c NOT IN ('secret_ciphertext', 'previous_secret_ciphertext')) || '{public_key}'::text[]
  WHERE table_name = 'webhooks';
ALTER TABLE public.webhooks
  DROP COLUMN secret_ciphertext,
  DROP COLUMN previous_secret_ciphertext,
  -- With which receivers verify; none where the secret is a shared one.
  ADD COLUMN public_key text CONSTRAINT webhooks_public_key_length CHECK (char_length(public_key) <= 200),
  -- Until then the receiver has asked for silence.
  ADD COLUMN throttled_until timestamptz;
GRANT INSERT (public_key), UPDATE (public_key) ON public.webhooks TO authenticated;
-- Asked at every event: one probe where nobody listens.
CREATE INDEX webhooks_listening_idx ON public.webhooks (org_id) WHERE direction = 'out' AND disabled_at IS NULL;

CREATE TABLE nodeai.webhook_secrets (
  id uuid PRIMARY KEY,
  org_id uuid NOT NULL,
  webhook_id uuid NOT NULL CONSTRAINT webhook_secrets_webhook REFERENCES public.webhooks (id) ON DELETE CASCADE,
  key_version integer NOT NULL,
  wrapped_key bytea NOT NULL,
  nonce bytea NOT NULL,
  ciphertext bytea NOT NULL,
  -- Null for the one that stays.
  expires_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX webhook_secrets_webhook_idx ON nodeai.webhook_secrets (webhook_id, created_at DESC);
CREATE INDEX webhook_secrets_expires_idx ON nodeai.webhook_secrets (expires_at) WHERE expires_at IS NOT NULL;
SELECT nodeai.lock_table('nodeai.webhook_secrets');
SELECT nodeai.belongs_to('nodeai.webhook_secrets', 'webhooks', 'webhook_id');

-- `step`: place in the schedule of retries. `attempts` counts on over replays, `step` begins anew.
ALTER TABLE public.webhook_deliveries
  ADD COLUMN step integer NOT NULL DEFAULT 0 CONSTRAINT webhook_deliveries_step CHECK (step >= 0);
CREATE INDEX webhook_deliveries_prune_idx ON public.webhook_deliveries (created_at)
  WHERE status IN ('delivered', 'failed', 'cancelled');
-- Leases and attempts are written by the functions below alone: who could write a lease could lift its fence.
REVOKE INSERT, UPDATE ON public.webhook_deliveries FROM authenticated;
REVOKE INSERT ON public.webhook_attempts FROM authenticated;

-- What the API shows of an outgoing webhook.
CREATE FUNCTION nodeai.webhook_shown(w public.webhooks) RETURNS jsonb LANGUAGE sql STABLE
  RETURN to_jsonb(w) - ARRAY['org_id', 'direction', 'path', 'methods', 'verification', 'answer_mode', 'created_by'];
SELECT nodeai.expose('nodeai.webhook_shown(public.webhooks)', '{authenticated,service_role}');

-- An outgoing webhook of the organisation, or NA404.
CREATE FUNCTION nodeai.outgoing_webhook(org uuid, webhook uuid) RETURNS public.webhooks
LANGUAGE plpgsql STABLE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  w public.webhooks;
BEGIN
  SELECT * INTO w FROM public.webhooks x WHERE x.id = webhook AND x.org_id = org AND x.direction = 'out';
  IF w.id IS NULL THEN
    RAISE EXCEPTION 'missing' USING ERRCODE = 'NA404';
  END IF;
  RETURN w;
END
$$;
SELECT nodeai.expose('nodeai.outgoing_webhook(uuid, uuid)', '{authenticated,service_role}');

-- Puts a secret in the place of the one that stays, which goes on until `overlap` is over. {"id","key_version",
-- "wrapped_key","nonce","ciphertext"} (bytes as `\x` hex).
CREATE FUNCTION nodeai.add_webhook_secret(org uuid, webhook uuid, secret jsonb, overlap interval) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
BEGIN
  PERFORM nodeai.require_runner(org);
  PERFORM nodeai.outgoing_webhook(org, webhook);
  DELETE FROM nodeai.webhook_secrets s WHERE s.webhook_id = webhook AND s.expires_at <= clock_timestamp();
  IF (SELECT count(*) FROM nodeai.webhook_secrets s WHERE s.webhook_id = webhook) >= 5 THEN
    RAISE EXCEPTION 'five secrets of this webhook are valid already' USING ERRCODE = 'NA409';
  END IF;
  UPDATE nodeai.webhook_secrets s SET expires_at = clock_timestamp() + overlap
    WHERE s.webhook_id = webhook AND s.expires_at IS NULL;
  INSERT INTO nodeai.webhook_secrets (id, org_id, webhook_id, key_version, wrapped_key, nonce, ciphertext)
    VALUES ((secret ->> 'id')::uuid, org, webhook, (secret ->> 'key_version')::integer, (secret ->> 'wrapped_key')::bytea,
      (secret ->> 'nonce')::bytea, (secret ->> 'ciphertext')::bytea);
END
$$;
SELECT nodeai.expose('nodeai.add_webhook_secret(uuid, uuid, jsonb, interval)', '{authenticated,service_role}');

-- {"id","row":{name,url,event_types,headers,workflow_id?,public_key?},"secret"}
CREATE FUNCTION nodeai.do_webhook_create(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  args jsonb := p -> 'args';
  given jsonb := args -> 'row';
BEGIN
  IF (SELECT count(*) FROM public.webhooks w WHERE w.org_id = org AND w.direction = 'out') >= 100 THEN
    RAISE EXCEPTION 'an organisation has at most 100 outgoing webhooks' USING ERRCODE = 'NA409';
  END IF;
  IF given ->> 'workflow_id' IS NOT NULL THEN
    PERFORM nodeai.require_subject(org, 'workflow', (given ->> 'workflow_id')::uuid);
  END IF;
  PERFORM nodeai.insert_row('webhooks', (args ->> 'id')::uuid, org, given || '{"direction":"out"}');
  PERFORM nodeai.add_webhook_secret(org, (args ->> 'id')::uuid, args -> 'secret', interval '0');
  RETURN jsonb_build_object('version', 1, 'changes', jsonb_build_object('after', nodeai.audit_view(given)),
    'body', nodeai.webhook_shown(nodeai.outgoing_webhook(org, (args ->> 'id')::uuid)));
END
$$;
SELECT nodeai.expose('nodeai.do_webhook_create(uuid, jsonb)', '{authenticated,service_role}');

-- {"id","expect_version"?,"row":{name?,url?,event_types?,headers?,workflow_id?,disabled_at?,disabled_reason?}}
CREATE FUNCTION nodeai.do_webhook_update(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  args jsonb := p -> 'args';
  given jsonb := args -> 'row';
  names jsonb := (SELECT coalesce(jsonb_agg(k), '[]') FROM jsonb_object_keys(given) k);
  before public.webhooks := nodeai.outgoing_webhook(org, (args ->> 'id')::uuid);
  made public.webhooks;
BEGIN
  IF given ->> 'workflow_id' IS NOT NULL THEN
    PERFORM nodeai.require_subject(org, 'workflow', (given ->> 'workflow_id')::uuid);
  END IF;
  PERFORM nodeai.change_row('webhooks', 'update', before.id, org, given, (args ->> 'expect_version')::integer);
  made := nodeai.outgoing_webhook(org, before.id);
  RETURN jsonb_build_object('version', made.version, 'body', nodeai.webhook_shown(made), 'changes', jsonb_build_object(
    'before', nodeai.some_of(to_jsonb(before), names), 'after', nodeai.some_of(to_jsonb(made), names)));
END
$$;
SELECT nodeai.expose('nodeai.do_webhook_update(uuid, jsonb)', '{authenticated,service_role}');

-- {"id","expect_version"?}
CREATE FUNCTION nodeai.do_webhook_remove(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  args jsonb := p -> 'args';
  before public.webhooks := nodeai.outgoing_webhook(org, (args ->> 'id')::uuid);
BEGIN
  PERFORM nodeai.change_row('webhooks', 'delete', before.id, org, '{}', (args ->> 'expect_version')::integer);
  RETURN jsonb_build_object('changes', jsonb_build_object('before', nodeai.audit_view(nodeai.webhook_shown(before))));
END
$$;
SELECT nodeai.expose('nodeai.do_webhook_remove(uuid, jsonb)', '{authenticated,service_role}');

-- {"id","expect_version"?,"secret","public_key"?,"overlap_s"}: until the overlap is over, both secrets sign.
CREATE FUNCTION nodeai.do_webhook_rotate(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  args jsonb := p -> 'args';
  w public.webhooks := nodeai.outgoing_webhook(org, (args ->> 'id')::uuid);
  overlap interval := (args ->> 'overlap_s')::bigint * interval '1 second';
BEGIN
  -- The row's lock lets one rotation in at a time.
  PERFORM nodeai.change_row('webhooks', 'update', w.id, org, jsonb_build_object('public_key', args -> 'public_key',
    'previous_secret_until', clock_timestamp() + overlap), (args ->> 'expect_version')::integer);
  PERFORM nodeai.add_webhook_secret(org, w.id, args -> 'secret', overlap);
  w := nodeai.outgoing_webhook(org, w.id);
  RETURN jsonb_build_object('version', w.version, 'body', nodeai.webhook_shown(w),
    'changes', jsonb_build_object('overlap_s', args -> 'overlap_s'));
END
$$;
SELECT nodeai.expose('nodeai.do_webhook_rotate(uuid, jsonb)', '{authenticated,service_role}');

-- Events -------------------------------------------------------------------------------------------------------------

-- A time as events carry it, whatever the session's time zone is.
CREATE FUNCTION nodeai.event_time(t timestamptz) RETURNS text LANGUAGE sql STABLE
  RETURN to_char(t AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"');
SELECT nodeai.expose('nodeai.event_time(timestamptz)', '{service_role}');

-- The payload, in the form that Standard Webhooks recommends.
CREATE FUNCTION nodeai.event_payload(event_type text, data jsonb) RETURNS jsonb LANGUAGE sql VOLATILE
  RETURN jsonb_build_object('type', event_type, 'timestamp', nodeai.event_time(clock_timestamp()), 'data', data);
SELECT nodeai.expose('nodeai.event_payload(text, jsonb)', '{service_role}');

-- Whether a subscription takes an event; no types, or `*`, are all of them.
CREATE FUNCTION nodeai.takes_event(w public.webhooks, event_type text, workflow uuid) RETURNS boolean LANGUAGE sql IMMUTABLE
  RETURN (cardinality(w.event_types) = 0 OR w.event_types && ARRAY[event_type, '*'])
    AND (w.workflow_id IS NULL OR coalesce(w.workflow_id = workflow, false));
SELECT nodeai.expose('nodeai.takes_event(public.webhooks, text, uuid)', '{service_role}');

-- Whether anybody wants to hear of it: asked before a payload is built.
CREATE FUNCTION nodeai.listens(org uuid, event_type text, workflow uuid) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = '' AS $$
  SELECT EXISTS (SELECT FROM public.webhooks w
    WHERE w.org_id = org AND w.direction = 'out' AND w.disabled_at IS NULL AND nodeai.takes_event(w, event_type, workflow))
$$;
SELECT nodeai.expose('nodeai.listens(uuid, text, uuid)', '{service_role}');

-- One pending delivery for each subscription. The same `dedupe` is delivered once. Returns how many were queued.
CREATE FUNCTION nodeai.emit_event(org uuid, event_type text, data jsonb, dedupe text, workflow uuid) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  at timestamptz := clock_timestamp();
  n bigint;
BEGIN
  -- The lock skips what is being deleted at this moment; without it the foreign key would undo the caller's own work.
  WITH listening AS MATERIALIZED (
    SELECT w.id, w.throttled_until FROM public.webhooks w
    WHERE w.org_id = org AND w.direction = 'out' AND w.disabled_at IS NULL AND nodeai.takes_event(w, event_type, workflow)
    ORDER BY w.id FOR KEY SHARE
  )
  INSERT INTO public.webhook_deliveries (id, org_id, webhook_id, dedupe_key, event_type, payload, next_at)
    SELECT nodeai.uuid_v7(), org, l.id, dedupe, event_type, nodeai.event_payload(event_type, data),
      greatest(at, l.throttled_until)
    FROM listening l
  ON CONFLICT (webhook_id, dedupe_key) WHERE dedupe_key IS NOT NULL DO NOTHING;
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN n;
END
$$;
SELECT nodeai.expose('nodeai.emit_event(uuid, text, jsonb, text, uuid)', '{service_role}');

-- `run.completed`, `run.failed`, `run.cancelled`. A run that is given back to the queue may end again, under another lease.
CREATE FUNCTION nodeai.emit_run_end() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  event_type text := CASE NEW.status WHEN 'succeeded' THEN 'run.completed' ELSE 'run.' || NEW.status END;
  small boolean;
BEGIN
  IF nodeai.listens(NEW.org_id, event_type, NEW.workflow_id) THEN
    small := coalesce(octet_length(NEW.outputs::text) <= 16384, true);
    PERFORM nodeai.emit_event(NEW.org_id, event_type, jsonb_build_object(
        'execution_id', NEW.id, 'workflow_id', NEW.workflow_id, 'workflow_version', NEW.workflow_version,
        'deployment_id', NEW.deployment_id, 'environment', NEW.environment, 'trace_id', NEW.trace_id, 'mode', NEW.mode,
        'status', NEW.status, 'error', NEW.error, 'outputs', CASE WHEN small THEN NEW.outputs END,
        'outputs_omitted', NOT small, 'usage', jsonb_build_object('prompt_tokens', NEW.prompt_tokens,
          'completion_tokens', NEW.completion_tokens, 'cost_usd_micros', round(NEW.cost_pusd / 1000000.0)::bigint),
        'created_at', nodeai.event_time(NEW.created_at), 'started_at', nodeai.event_time(NEW.started_at),
        'finished_at', nodeai.event_time(NEW.finished_at)),
      'run/' || NEW.id || '/' || NEW.lease_token, NEW.workflow_id);
  END IF;
  RETURN NULL;
END
$$;
SELECT nodeai.expose('nodeai.emit_run_end()', '{}');
CREATE TRIGGER emit_run_end AFTER UPDATE OF finished_at ON public.execution_queue
  FOR EACH ROW WHEN (OLD.finished_at IS NULL AND NEW.finished_at IS NOT NULL) EXECUTE FUNCTION nodeai.emit_run_end();

-- `alert.opened`, `alert.resolved`.
CREATE FUNCTION nodeai.emit_alert() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  event_type text := CASE NEW.state WHEN 'resolved' THEN 'alert.resolved' ELSE 'alert.opened' END;
  rule public.alert_rules;
  workflow uuid;
BEGIN
  SELECT * INTO rule FROM public.alert_rules r WHERE r.id = NEW.rule_id;
  workflow := nullif(rule.condition ->> 'workflow_id', '')::uuid;
  IF nodeai.listens(NEW.org_id, event_type, workflow) THEN
    PERFORM nodeai.emit_event(NEW.org_id, event_type, jsonb_build_object(
        'alert_id', NEW.id, 'rule_id', NEW.rule_id, 'rule_name', rule.name, 'kind', rule.kind,
        'condition', rule.condition, 'details', NEW.details, 'opened_at', nodeai.event_time(NEW.opened_at),
        'resolved_at', nodeai.event_time(NEW.resolved_at)),
      event_type || '/' || NEW.id, workflow);
  END IF;
  RETURN NULL;
END
$$;
SELECT nodeai.expose('nodeai.emit_alert()', '{}');
CREATE TRIGGER emit_alert_opened AFTER INSERT ON public.alerts
  FOR EACH ROW WHEN (NEW.state <> 'resolved') EXECUTE FUNCTION nodeai.emit_alert();
CREATE TRIGGER emit_alert_resolved AFTER UPDATE OF state ON public.alerts
  FOR EACH ROW WHEN (OLD.state <> 'resolved' AND NEW.state = 'resolved') EXECUTE FUNCTION nodeai.emit_alert();

-- `deployment.changed`: the history has a row for each change.
CREATE FUNCTION nodeai.emit_deployment() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  d public.deployments;
BEGIN
  SELECT * INTO d FROM public.deployments x WHERE x.id = NEW.deployment_id;
  IF nodeai.listens(NEW.org_id, 'deployment.changed', d.workflow_id) THEN
    PERFORM nodeai.emit_event(NEW.org_id, 'deployment.changed', jsonb_build_object(
        'deployment_id', d.id, 'slug', d.slug, 'environment', d.environment, 'workflow_id', d.workflow_id,
        'status', d.status, 'action', NEW.action, 'number', NEW.number, 'from_version', NEW.from_version,
        'to_version', NEW.to_version, 'details', NEW.details),
      'deployment/' || NEW.id, d.workflow_id);
  END IF;
  RETURN NULL;
END
$$;
SELECT nodeai.expose('nodeai.emit_deployment()', '{}');
CREATE TRIGGER emit_deployment AFTER INSERT ON public.deployment_history
  FOR EACH ROW EXECUTE FUNCTION nodeai.emit_deployment();

-- How much of its limits a budget has spent, in percent; of two limits the one that is nearer.
CREATE FUNCTION nodeai.budget_percent(b public.budgets) RETURNS numeric LANGUAGE sql IMMUTABLE
  RETURN greatest(100.0 * b.spent_pusd / nullif(b.limit_pusd, 0), 100.0 * b.spent_tokens / nullif(b.limit_tokens, 0));
SELECT nodeai.expose('nodeai.budget_percent(public.budgets)', '{}');

-- `budget.threshold`: once for each threshold of a window.
CREATE FUNCTION nodeai.emit_budget_threshold() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  used numeric := nodeai.budget_percent(NEW);
  was numeric := CASE WHEN NEW.period_start > OLD.period_start THEN 0 ELSE coalesce(nodeai.budget_percent(OLD), 0) END;
  workflow uuid := CASE WHEN NEW.subject_kind = 'workflow' THEN NEW.subject_id END;
  threshold integer;
BEGIN
  FOREACH threshold IN ARRAY NEW.thresholds LOOP
    CONTINUE WHEN NOT coalesce(was < threshold AND used >= threshold, false);
    IF nodeai.listens(NEW.org_id, 'budget.threshold', workflow) THEN
      PERFORM nodeai.emit_event(NEW.org_id, 'budget.threshold', jsonb_build_object(
          'threshold_percent', threshold, 'used_percent', round(used, 2), 'budget', nodeai.budget_json(NEW)),
        'budget/' || NEW.id || '/' || nodeai.to_us(NEW.period_start) || '/' || threshold, workflow);
    END IF;
  END LOOP;
  RETURN NULL;
END
$$;
SELECT nodeai.expose('nodeai.emit_budget_threshold()', '{}');
CREATE TRIGGER emit_budget_threshold AFTER UPDATE OF spent_pusd, spent_tokens ON public.budgets
  FOR EACH ROW WHEN (NEW.spent_pusd > OLD.spent_pusd OR NEW.spent_tokens > OLD.spent_tokens
    OR NEW.period_start > OLD.period_start) EXECUTE FUNCTION nodeai.emit_budget_threshold();

-- What waits for a webhook that is turned off is not delivered; it can be replayed.
CREATE FUNCTION nodeai.cancel_deliveries() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
BEGIN
  UPDATE public.webhook_deliveries d SET status = 'cancelled', next_at = NULL, updated_at = clock_timestamp()
    WHERE d.webhook_id = NEW.id AND d.status = 'pending';
  RETURN NULL;
END
$$;
SELECT nodeai.expose('nodeai.cancel_deliveries()', '{}');
CREATE TRIGGER cancel_deliveries AFTER UPDATE OF disabled_at ON public.webhooks
  FOR EACH ROW WHEN (OLD.disabled_at IS NULL AND NEW.disabled_at IS NOT NULL AND NEW.direction = 'out')
  EXECUTE FUNCTION nodeai.cancel_deliveries();

-- Delivering ---------------------------------------------------------------------------------------------------------

-- Takes up at most `most` deliveries that are due: {"org_id"?,"most","lease_us"} → {"deliveries": [{"id","org_id",
-- "webhook_id","event_type","body","attempt","step","lease_token","url","headers","secrets": newest first}],"due_us"}.
-- A webhook with much to deliver, or a slow one, gets its turn after the others'. A lease that ran out counts as a failure.
CREATE FUNCTION public.webhooks_claim(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  org uuid := nullif(p ->> 'org_id', '')::uuid;
  most integer := (p ->> 'most')::integer;
  at timestamptz := clock_timestamp();
  taken jsonb;
BEGIN
  WITH busy AS MATERIALIZED (
    SELECT d.webhook_id, count(*) AS n FROM public.webhook_deliveries d
    WHERE d.status = 'delivering' AND d.lease_until >= at GROUP BY d.webhook_id
  ), due AS MATERIALIZED (
    (SELECT d.id, d.webhook_id, d.next_at AS since FROM public.webhook_deliveries d
      WHERE d.status = 'pending' AND d.next_at <= at AND (org IS NULL OR d.org_id = org)
      ORDER BY d.next_at, d.id LIMIT 1000)
    UNION ALL
    (SELECT d.id, d.webhook_id, d.lease_until FROM public.webhook_deliveries d
      WHERE d.status = 'delivering' AND d.lease_until < at AND (org IS NULL OR d.org_id = org)
      ORDER BY d.lease_until LIMIT 100)
  ), fair AS MATERIALIZED (
    SELECT x.id, x.since, coalesce(b.n, 0) + row_number() OVER (PARTITION BY x.webhook_id ORDER BY x.since, x.id) AS turn
    FROM due x LEFT JOIN busy b ON b.webhook_id = x.webhook_id
  ), mine AS MATERIALIZED (
    SELECT d.id FROM fair f JOIN public.webhook_deliveries d ON d.id = f.id
    WHERE d.status = 'pending' AND d.next_at <= at OR d.status = 'delivering' AND d.lease_until < at
    ORDER BY f.turn, f.since, d.id LIMIT most FOR UPDATE OF d SKIP LOCKED
  ), leased AS (
    UPDATE public.webhook_deliveries d SET
      -- It was queued while its webhook was being turned off.
      status = CASE WHEN w.disabled_at IS NULL THEN 'delivering' ELSE 'cancelled' END,
      step = d.step + CASE WHEN d.status = 'delivering' THEN 1 ELSE 0 END,
      attempts = d.attempts + 1, lease_token = d.lease_token + 1, next_at = NULL, updated_at = at,
      lease_until = CASE WHEN w.disabled_at IS NULL
        THEN clock_timestamp() + coalesce((p ->> 'lease_us')::bigint, 60000000) * interval '1 microsecond' END
    FROM mine m, public.webhooks w WHERE d.id = m.id AND w.id = d.webhook_id
    RETURNING d.*, w.url, w.headers
  )
  SELECT jsonb_agg(jsonb_build_object('id', l.id, 'org_id', l.org_id, 'webhook_id', l.webhook_id,
      'event_type', l.event_type, 'body', l.payload::text, 'attempt', l.attempts, 'step', l.step,
      'lease_token', l.lease_token, 'url', l.url, 'headers', l.headers, 'secrets', (
        SELECT coalesce(jsonb_agg(jsonb_build_object('id', s.id, 'key_version', s.key_version,
          'wrapped_key', encode(s.wrapped_key, 'hex'), 'nonce', encode(s.nonce, 'hex'),
          'ciphertext', encode(s.ciphertext, 'hex')) ORDER BY s.created_at DESC), '[]')
        FROM nodeai.webhook_secrets s WHERE s.webhook_id = l.webhook_id AND (s.expires_at IS NULL OR s.expires_at > at)))
      ORDER BY l.id)
    INTO taken FROM leased l WHERE l.status = 'delivering';
  RETURN jsonb_build_object('deliveries', coalesce(taken, '[]'), 'due_us', CASE WHEN org IS NULL THEN nodeai.to_us((
    SELECT min(d.next_at) FROM public.webhook_deliveries d WHERE d.status = 'pending')) END);
END
$$;
SELECT nodeai.expose('public.webhooks_claim(jsonb)', '{service_role}');

-- Turns a webhook off, and says so to the others.
CREATE FUNCTION nodeai.disable_webhook(webhook uuid, reason text) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  w public.webhooks;
BEGIN
  UPDATE public.webhooks x SET disabled_at = clock_timestamp(), disabled_reason = reason, version = x.version + 1,
      updated_at = clock_timestamp()
    WHERE x.id = webhook AND x.disabled_at IS NULL RETURNING * INTO w;
  IF w.id IS NULL THEN
    RETURN false;
  END IF;
  PERFORM nodeai.audit(w.org_id, jsonb_build_object('action', 'webhook.disabled', 'resource_type', 'webhook',
    'resource_id', w.id, 'details', jsonb_build_object('reason', reason)));
  PERFORM nodeai.emit_event(w.org_id, 'webhook.disabled', jsonb_build_object('webhook_id', w.id, 'name', w.name,
    'url', w.url, 'reason', reason, 'disabled_at', nodeai.event_time(w.disabled_at)), 'webhook/' || w.id || '/' || w.version, NULL);
  RETURN true;
END
$$;
SELECT nodeai.expose('nodeai.disable_webhook(uuid, text)', '{service_role}');

-- Ends an attempt: {"id","lease_token","outcome":"delivered|retry|exhausted|gone","next_us"?,"throttle_us"?,"reason"?,
-- "attempt":{"id","status"?,"error"?,"request","response"?,"duration_us","at_us"}} → {"outcome":"settled|fenced","status"?,
-- "disabled"?}. An exhausted delivery turns its webhook off unless the receiver has taken another one since: then it is
-- this one that it does not like.
CREATE FUNCTION public.webhook_settle(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  said text := p ->> 'outcome';
  tried jsonb := p -> 'attempt';
  until timestamptz := nodeai.from_us((p ->> 'throttle_us')::bigint);
  disabled boolean := false;
  d public.webhook_deliveries;
BEGIN
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
SELECT nodeai.expose('public.webhook_settle(jsonb)', '{service_role}');

-- One delivery with its attempts: {"id","org_id"} → {"delivery","attempts"} or null.
CREATE FUNCTION public.webhook_delivery(p jsonb) RETURNS jsonb
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = '' AS $$
  SELECT jsonb_build_object(
    'delivery', to_jsonb(d) - ARRAY['org_id', 'direction', 'raw_body', 'lease_until', 'lease_token', 'dedupe_key', 'created_by'],
    'attempts', (SELECT coalesce(jsonb_agg(to_jsonb(a) - ARRAY['org_id', 'delivery_id'] ORDER BY a.number), '[]')
                 FROM public.webhook_attempts a WHERE a.org_id = d.org_id AND a.delivery_id = d.id))
  FROM public.webhook_deliveries d
  WHERE d.id = (p ->> 'id')::uuid AND d.direction = 'out'
    AND d.org_id = coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid
$$;
SELECT nodeai.expose('public.webhook_delivery(jsonb)', '{authenticated,service_role}');

-- By hand ------------------------------------------------------------------------------------------------------------

-- The webhook, when whoever asks may send to it.
CREATE FUNCTION nodeai.sending_webhook(org uuid, webhook uuid) RETURNS public.webhooks
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  w public.webhooks := nodeai.outgoing_webhook(org, webhook);
BEGIN
  PERFORM nodeai.require_runner(org);
  IF w.disabled_at IS NOT NULL THEN
    RAISE EXCEPTION 'the webhook is disabled; enable it first' USING ERRCODE = 'NA409';
  END IF;
  RETURN w;
END
$$;
SELECT nodeai.expose('nodeai.sending_webhook(uuid, uuid)', '{}');

-- What the API answers of a delivery that was queued.
CREATE FUNCTION nodeai.delivery_queued(d public.webhook_deliveries) RETURNS jsonb LANGUAGE sql STABLE
  RETURN jsonb_build_object('body', jsonb_build_object('id', d.id, 'webhook_id', d.webhook_id, 'event_type', d.event_type,
    'status', d.status, 'next_at', d.next_at), 'changes', jsonb_build_object('delivery_id', d.id));
SELECT nodeai.expose('nodeai.delivery_queued(public.webhook_deliveries)', '{}');

-- An event of the type `test` to one webhook: {"id","delivery_id"}.
CREATE FUNCTION nodeai.do_webhook_test(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  w public.webhooks := nodeai.sending_webhook(org, (p #>> '{args,id}')::uuid);
  d public.webhook_deliveries;
BEGIN
  INSERT INTO public.webhook_deliveries (id, org_id, webhook_id, event_type, payload, next_at, created_by)
    VALUES ((p #>> '{args,delivery_id}')::uuid, org, w.id, 'test', nodeai.event_payload('test', jsonb_build_object(
      'webhook_id', w.id, 'message', 'A test of this webhook.')), clock_timestamp(), auth.uid())
    RETURNING * INTO d;
  RETURN nodeai.delivery_queued(d);
END
$$;
SELECT nodeai.expose('nodeai.do_webhook_test(uuid, jsonb)', '{authenticated,service_role}');

-- Delivers once more, or at once what waits, under the same message id: {"id"}.
CREATE FUNCTION nodeai.do_webhook_replay(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  d public.webhook_deliveries;
BEGIN
  PERFORM nodeai.require_member(org);
  SELECT * INTO d FROM public.webhook_deliveries x
    WHERE x.id = (p #>> '{args,id}')::uuid AND x.org_id = org AND x.direction = 'out' FOR UPDATE;
  IF d.id IS NULL THEN
    RAISE EXCEPTION 'missing' USING ERRCODE = 'NA404';
  END IF;
  PERFORM nodeai.sending_webhook(org, d.webhook_id);
  IF d.status = 'delivering' THEN
    RAISE EXCEPTION 'it is being delivered at this moment' USING ERRCODE = 'NA409';
  END IF;
  UPDATE public.webhook_deliveries x SET status = 'pending', step = 0, next_at = clock_timestamp(),
      updated_at = clock_timestamp()
    WHERE x.id = d.id RETURNING * INTO d;
  RETURN nodeai.delivery_queued(d);
END
$$;
SELECT nodeai.expose('nodeai.do_webhook_replay(uuid, jsonb)', '{authenticated,service_role}');

-- Delivers once more what was made in a time and has ended so: {"id","from_us","to_us","statuses"}, the oldest 1,000 →
-- {"replayed","more"}.
CREATE FUNCTION nodeai.do_webhook_replay_range(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  args jsonb := p -> 'args';
  w public.webhooks := nodeai.sending_webhook(org, (args ->> 'id')::uuid);
  ended text[] := ARRAY(SELECT s FROM jsonb_array_elements_text(args -> 'statuses') s
                        WHERE s IN ('delivered', 'failed', 'cancelled'));
  n bigint;
BEGIN
  WITH chosen AS (
    SELECT d.id FROM public.webhook_deliveries d
    WHERE d.webhook_id = w.id AND d.status = ANY (ended)
      AND d.created_at >= nodeai.from_us((args ->> 'from_us')::bigint)
      AND d.created_at < nodeai.from_us((args ->> 'to_us')::bigint)
    ORDER BY d.created_at, d.id LIMIT 1000 FOR UPDATE SKIP LOCKED
  )
  UPDATE public.webhook_deliveries d SET status = 'pending', step = 0, next_at = clock_timestamp(),
      updated_at = clock_timestamp()
    FROM chosen c WHERE d.id = c.id;
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN jsonb_build_object('body', jsonb_build_object('replayed', n, 'more', n = 1000),
    'changes', jsonb_build_object('replayed', n));
END
$$;
SELECT nodeai.expose('nodeai.do_webhook_replay_range(uuid, jsonb)', '{authenticated,service_role}');

-- Rotation of the master key -----------------------------------------------------------------------------------------

-- As before, with the secrets of webhooks.
CREATE OR REPLACE FUNCTION nodeai.stale_keys(p jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  newest integer := (p ->> 'key_version')::integer;
  org uuid := nullif(p ->> 'org_id', '')::uuid;
  found jsonb;
  remaining bigint;
BEGIN
  IF nodeai.claims() IS NOT NULL AND NOT coalesce(org = ANY (nodeai.orgs_with('admin')), false) THEN
    RAISE EXCEPTION 'not an admin' USING ERRCODE = 'insufficient_privilege';
  END IF;
  SELECT (SELECT count(*) FROM public.secret_versions s
          WHERE s.key_version <> newest AND (org IS NULL OR s.org_id = org))
       + (SELECT count(*) FROM public.connections c
          WHERE c.key_version <> newest AND (org IS NULL OR c.org_id = org))
       + (SELECT count(*) FROM nodeai.webhook_secrets h
          WHERE h.key_version <> newest AND (org IS NULL OR h.org_id = org)) INTO remaining;
  SELECT coalesce(jsonb_agg(to_jsonb(r) || jsonb_build_object('wrapped_key', encode(r.wrapped_key, 'hex'))), '[]')
    INTO found
    FROM (
      (SELECT 'secret' AS kind, s.id, s.org_id, s.secret_id AS record_id, s.id::text AS version, s.key_version, s.wrapped_key
       FROM public.secret_versions s WHERE s.key_version <> newest AND (org IS NULL OR s.org_id = org)
       ORDER BY s.id LIMIT (p ->> 'limit')::integer)
      UNION ALL
      (SELECT 'connection', c.id, c.org_id, c.id, '', c.key_version, c.wrapped_key
       FROM public.connections c WHERE c.key_version <> newest AND (org IS NULL OR c.org_id = org)
       ORDER BY c.id LIMIT (p ->> 'limit')::integer)
      UNION ALL
      (SELECT 'webhook', h.id, h.org_id, h.webhook_id, h.id::text, h.key_version, h.wrapped_key
       FROM nodeai.webhook_secrets h WHERE h.key_version <> newest AND (org IS NULL OR h.org_id = org)
       ORDER BY h.id LIMIT (p ->> 'limit')::integer)
      LIMIT (p ->> 'limit')::integer) r;
  RETURN jsonb_build_object('remaining', remaining, 'rows', found);
END
$$;

-- As before, then the secrets of webhooks.
ALTER FUNCTION nodeai.rewrap_keys(jsonb) RENAME TO rewrap_vault_keys;
CREATE FUNCTION nodeai.rewrap_keys(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  org uuid := nullif(p ->> 'org_id', '')::uuid;
  changed bigint := (nodeai.rewrap_vault_keys(p) ->> 'changed')::bigint; -- which refuses who may not
  n bigint;
BEGIN
  UPDATE nodeai.webhook_secrets h SET key_version = r.key_version, wrapped_key = decode(r.wrapped_key, 'hex')
    FROM jsonb_to_recordset(p -> 'rows')
      AS r(kind text, id uuid, from_version integer, key_version integer, wrapped_key text)
    WHERE r.kind = 'webhook' AND h.id = r.id AND h.key_version = r.from_version AND (org IS NULL OR h.org_id = org);
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN jsonb_build_object('changed', changed + n);
END
$$;
SELECT nodeai.expose('nodeai.rewrap_vault_keys(jsonb)', '{}');
SELECT nodeai.expose('nodeai.rewrap_keys(jsonb)', '{authenticated}');

-- Alert rules on a schedule ------------------------------------------------------------------------------------------

-- As before, but one at a time, and those rules first that wait longest: of more than 500, each has its turn.
CREATE OR REPLACE FUNCTION nodeai.do_alerts_evaluate(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  at timestamptz := clock_timestamp();
  rule public.alert_rules;
  found jsonb;
  open_id uuid;
  opened jsonb := '[]';
  evaluated integer := 0;
  still integer := 0;
  closed integer := 0;
BEGIN
  -- The schedule and a caller may ask at the same moment; both would open the alert.
  PERFORM pg_advisory_xact_lock(hashtextextended('alerts ' || org::text, 0));
  FOR rule IN SELECT * FROM public.alert_rules r
      WHERE r.org_id = org AND r.enabled AND r.kind <> 'budget'
      ORDER BY r.evaluated_at NULLS FIRST, r.id LIMIT 500 LOOP
    evaluated := evaluated + 1;
    found := nodeai.rule_fires(org, rule.kind, rule.condition, at);
    SELECT a.id INTO open_id FROM public.alerts a
      WHERE a.rule_id = rule.id AND a.fingerprint = rule.kind AND a.state <> 'resolved';
    IF (found ->> 'firing')::boolean AND open_id IS NOT NULL THEN
      UPDATE public.alerts a SET last_seen_at = at, details = found WHERE a.id = open_id;
      still := still + 1;
    ELSIF (found ->> 'firing')::boolean AND coalesce(rule.silenced_until, '-infinity') <= at THEN
      open_id := nodeai.uuid_v7();
      PERFORM nodeai.insert_row('alerts', open_id, org,
        jsonb_build_object('rule_id', rule.id, 'fingerprint', rule.kind, 'details', found));
      opened := opened || jsonb_build_array(jsonb_build_object('id', open_id, 'rule_id', rule.id, 'name', rule.name,
        'kind', rule.kind, 'details', found));
    ELSIF NOT (found ->> 'firing')::boolean AND open_id IS NOT NULL THEN
      UPDATE public.alerts a SET state = 'resolved', resolved_at = at WHERE a.id = open_id;
      closed := closed + 1;
    END IF;
    UPDATE public.alert_rules r SET evaluated_at = at WHERE r.id = rule.id;
  END LOOP;
  RETURN jsonb_build_object('body', jsonb_build_object('evaluated', evaluated, 'opened', opened, 'still_open', still,
    'resolved', closed));
END
$$;

-- Asks the rules of organisations that have one which nobody has asked for a minute, those first that wait longest:
-- {"most"} → {"organizations","evaluated","opened","still_open","resolved","failed"}. Evaluating is each organisation's
-- own matter: one that fails does not stop the others, and waits its turn again.
CREATE FUNCTION public.alerts_evaluate_due(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  -- A schedule that comes each minute is a little early at times.
  due timestamptz := clock_timestamp() - interval '55 seconds';
  org uuid;
  done jsonb;
  orgs integer := 0;
  evaluated integer := 0;
  opened integer := 0;
  still integer := 0;
  resolved integer := 0;
  failed integer := 0;
BEGIN
  FOR org IN SELECT r.org_id FROM public.alert_rules r
      WHERE r.enabled AND r.kind <> 'budget' AND (r.evaluated_at IS NULL OR r.evaluated_at < due)
      GROUP BY r.org_id ORDER BY min(coalesce(r.evaluated_at, '-infinity')), r.org_id LIMIT (p ->> 'most')::integer LOOP
    CONTINUE WHEN NOT pg_try_advisory_xact_lock(hashtextextended('alerts ' || org::text, 0));
    orgs := orgs + 1;
    BEGIN
      done := nodeai.do_alerts_evaluate(org, '{}') -> 'body';
      evaluated := evaluated + (done ->> 'evaluated')::integer;
      opened := opened + jsonb_array_length(done -> 'opened');
      still := still + (done ->> 'still_open')::integer;
      resolved := resolved + (done ->> 'resolved')::integer;
    EXCEPTION WHEN OTHERS THEN
      RAISE WARNING 'the alert rules of the organisation % were not evaluated: %', org, SQLERRM;
      failed := failed + 1;
      UPDATE public.alert_rules r SET evaluated_at = clock_timestamp() WHERE r.org_id = org AND r.enabled;
    END;
  END LOOP;
  RETURN jsonb_build_object('organizations', orgs, 'evaluated', evaluated, 'opened', opened, 'still_open', still,
    'resolved', resolved, 'failed', failed);
END
$$;
SELECT nodeai.expose('public.alerts_evaluate_due(jsonb)', '{service_role}');

SELECT nodeai.allow_call(fn) FROM unnest(ARRAY[
  'webhooks_claim', 'webhook_settle', 'webhook_delivery', 'alerts_evaluate_due']) fn;

-- Housekeeping -------------------------------------------------------------------------------------------------------

-- Deliveries that ended 30 days ago or more, with their attempts, and secrets whose overlap is over.
CREATE FUNCTION nodeai.prune_webhooks() RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  gone bigint;
  secrets bigint;
BEGIN
  DELETE FROM public.webhook_deliveries d
    WHERE d.status IN ('delivered', 'failed', 'cancelled') AND d.created_at < now() - interval '30 days';
  GET DIAGNOSTICS gone = ROW_COUNT;
  DELETE FROM nodeai.webhook_secrets s WHERE s.expires_at IS NOT NULL AND s.expires_at < now();
  GET DIAGNOSTICS secrets = ROW_COUNT;
  RETURN jsonb_build_object('webhook_deliveries', gone, 'webhook_secrets', secrets);
END
$$;
SELECT nodeai.expose('nodeai.prune_webhooks()', '{}');

-- All of it, and the deliveries.
ALTER FUNCTION nodeai.housekeeping(jsonb) RENAME TO keep_house_and_sums;
CREATE FUNCTION nodeai.housekeeping(p jsonb) RETURNS jsonb
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
  SELECT nodeai.keep_house_and_sums(p) || nodeai.prune_webhooks()
$$;
SELECT nodeai.expose('nodeai.housekeeping(jsonb)', '{service_role}');
