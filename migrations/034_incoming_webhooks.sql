-- Incoming webhooks: a path that starts runs. A delivery is claimed, and its run made, by one function call; the run acts
-- with the claims that its owner would get now, never as the service.

-- What is run, and as whom -------------------------------------------------------------------------------------------

ALTER TABLE public.webhooks DROP CONSTRAINT webhooks_answer_mode;
UPDATE public.webhooks SET answer_mode = 'accepted';
ALTER TABLE public.webhooks
  ALTER COLUMN answer_mode SET DEFAULT 'accepted',
  ADD CONSTRAINT webhooks_answer_mode CHECK (answer_mode IN ('accepted', 'at_end', 'respond', 'streamed')),
  ADD CONSTRAINT webhooks_path_format CHECK (path ~ '^[A-Za-z0-9_-]{16,100}$') NOT VALID,
  ADD CONSTRAINT webhooks_verification CHECK (jsonb_typeof(verification) = 'object'),
  -- What follows the path: `orders/{id}`.
  ADD COLUMN pattern text NOT NULL DEFAULT '' CONSTRAINT webhooks_pattern_length CHECK (char_length(pattern) <= 200),
  ADD COLUMN workflow_version integer CONSTRAINT webhooks_workflow_version CHECK (workflow_version > 0),
  ADD COLUMN deployment_id uuid CONSTRAINT webhooks_deployment REFERENCES public.deployments (id) ON DELETE CASCADE,
  -- Whoever said last what it runs.
  ADD COLUMN owner_id uuid,
  ADD COLUMN owner_key_id uuid,
  -- Where a delivery's id is, when it is not where its scheme has it.
  ADD COLUMN delivery_id_from jsonb,
  ADD COLUMN dedupe_window_s integer NOT NULL DEFAULT 259200
    CONSTRAINT webhooks_dedupe_window CHECK (dedupe_window_s BETWEEN 60 AND 2592000),
  ADD COLUMN rate_per_minute integer NOT NULL DEFAULT 600
    CONSTRAINT webhooks_rate CHECK (rate_per_minute BETWEEN 1 AND 60000),
  -- Requests are verified and kept, and start nothing.
  ADD COLUMN listen boolean NOT NULL DEFAULT false,
  -- When it was last noted that the owner may not run it any more.
  ADD COLUMN refused_at timestamptz;
CREATE INDEX webhooks_deployment_idx ON public.webhooks (deployment_id) WHERE deployment_id IS NOT NULL;
SELECT nodeai.belongs_to('public.webhooks', 'deployments', 'deployment_id');

UPDATE nodeai.writable_tables SET
    insertable = insertable || '{pattern,workflow_version,deployment_id,delivery_id_from,dedupe_window_s,rate_per_minute,listen}'::text[],
    updatable = updatable || '{pattern,workflow_version,deployment_id,delivery_id_from,dedupe_window_s,rate_per_minute,listen}'::text[]
  WHERE table_name = 'webhooks';
GRANT INSERT (pattern, workflow_version, deployment_id, delivery_id_from, dedupe_window_s, rate_per_minute, listen),
  UPDATE (pattern, workflow_version, deployment_id, delivery_id_from, dedupe_window_s, rate_per_minute, listen)
  ON public.webhooks TO authenticated;

-- The claims with which something that starts runs by itself acts: those that its owner would get now. Null when none.
CREATE FUNCTION nodeai.claims_of_owner(org uuid, owner uuid, owner_key uuid) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  q public.execution_queue;
BEGIN
  q.org_id := org;
  q.user_id := owner;
  q.key_id := owner_key;
  RETURN nodeai.claims_of_run(q);
END
$$;
SELECT nodeai.expose('nodeai.claims_of_owner(uuid, uuid, uuid)', '{service_role}');

-- Whoever says what is run is who it runs as: otherwise one could have somebody else's rights exercised. Refuses those who
-- could not run it themselves.
CREATE FUNCTION nodeai.own_trigger() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  now_row jsonb := to_jsonb(NEW);
  was jsonb := CASE TG_OP WHEN 'UPDATE' THEN to_jsonb(OLD) ELSE '{}' END;
  names jsonb := '["workflow_id","workflow_version","deployment_id","verification","inputs"]';
  -- Whoever turns it on again takes it over: that is how one goes on whose owner has left.
  turned_on boolean := was ->> 'disabled_at' IS NOT NULL AND now_row ->> 'disabled_at' IS NULL
    OR coalesce((was ->> 'paused')::boolean AND NOT (now_row ->> 'paused')::boolean, false);
BEGIN
  IF auth.uid() IS NULL OR NOT turned_on AND nodeai.some_of(now_row, names) = nodeai.some_of(was, names) THEN
    RETURN NEW;
  END IF;
  NEW.owner_id := auth.uid();
  NEW.owner_key_id := nullif(nodeai.claims() ->> 'key_id', '')::uuid;
  IF nodeai.claims_of_owner(NEW.org_id, NEW.owner_id, NEW.owner_key_id) IS NULL THEN
    RAISE EXCEPTION 'may not run workflows' USING ERRCODE = 'insufficient_privilege';
  END IF;
  RETURN NEW;
END
$$;
SELECT nodeai.expose('nodeai.own_trigger()', '{}');
CREATE TRIGGER own_incoming BEFORE INSERT OR UPDATE ON public.webhooks
  FOR EACH ROW WHEN (NEW.direction = 'in') EXECUTE FUNCTION nodeai.own_trigger();

-- Starts a run for an owner: `fn` is run_start or deployment_start, `execution` as they take it, without a mode: the queue
-- has it. Acts as the owner, with row security as for any request of theirs. → as they answer, and `archived`.
CREATE FUNCTION nodeai.start_as(claims jsonb, fn text, execution jsonb, idempotency jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  before text := current_setting('request.jwt.claims', true);
  before_role text := current_setting('role');
  args jsonb := jsonb_build_object('execution', execution || '{"mode":"queued"}', 'idempotency', idempotency);
  started jsonb;
BEGIN
  PERFORM set_config('request.jwt.claims', start_as.claims::text, true), set_config('role', 'authenticated', true);
  started := CASE fn WHEN 'run_start' THEN public.run_start(args) ELSE public.deployment_start(args) END;
  IF started ->> 'outcome' = 'started' AND (started #>> '{workflow,archived}')::boolean THEN
    PERFORM public.run_abandon(jsonb_build_object('id', execution -> 'id', 'org_id', execution -> 'org_id'));
    started := '{"outcome":"archived"}';
  END IF;
  PERFORM set_config('request.jwt.claims', coalesce(before, ''), true), set_config('role', before_role, true);
  RETURN started;
END
$$;
SELECT nodeai.expose('nodeai.start_as(jsonb, text, jsonb, jsonb)', '{service_role}');

-- Refuses a target that is not the organisation's: one workflow (with a version that it has), or one deployment.
CREATE FUNCTION nodeai.require_target(org uuid, workflow uuid, version integer, deployment uuid) RETURNS void
LANGUAGE plpgsql STABLE SECURITY INVOKER SET search_path = '' AS $$
BEGIN
  IF (workflow IS NULL) = (deployment IS NULL) OR version IS NOT NULL AND workflow IS NULL THEN
    RAISE EXCEPTION 'it runs either a workflow or a deployment' USING ERRCODE = 'NA409';
  ELSIF workflow IS NOT NULL THEN
    PERFORM nodeai.deployable(org, workflow, version);
  ELSIF NOT EXISTS (SELECT FROM public.deployments d WHERE d.id = deployment AND d.org_id = org) THEN
    RAISE EXCEPTION 'there is no such deployment here' USING ERRCODE = 'NA409';
  END IF;
END
$$;
SELECT nodeai.expose('nodeai.require_target(uuid, uuid, integer, uuid)', '{authenticated,service_role}');

-- Secrets ------------------------------------------------------------------------------------------------------------

-- As before, for webhooks of both directions.
CREATE OR REPLACE FUNCTION nodeai.add_webhook_secret(org uuid, webhook uuid, secret jsonb, overlap interval) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
BEGIN
  PERFORM nodeai.require_runner(org);
  IF NOT EXISTS (SELECT FROM public.webhooks w WHERE w.id = webhook AND w.org_id = org) THEN
    RAISE EXCEPTION 'missing' USING ERRCODE = 'NA404';
  END IF;
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

-- Forgets all secrets of a webhook: those of another scheme open nothing any more.
CREATE FUNCTION nodeai.drop_webhook_secrets(org uuid, webhook uuid) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
BEGIN
  PERFORM nodeai.require_runner(org);
  DELETE FROM nodeai.webhook_secrets s WHERE s.webhook_id = webhook AND s.org_id = org;
END
$$;
SELECT nodeai.expose('nodeai.drop_webhook_secrets(uuid, uuid)', '{authenticated,service_role}');

-- Changes ------------------------------------------------------------------------------------------------------------

-- What the API shows of an incoming webhook.
CREATE FUNCTION nodeai.incoming_shown(w public.webhooks) RETURNS jsonb LANGUAGE sql STABLE
  RETURN to_jsonb(w) - ARRAY['org_id', 'direction', 'url', 'path', 'event_types', 'headers', 'public_key', 'throttled_until',
      'created_by', 'refused_at', 'channel', 'email', 'secret_id']
    || jsonb_build_object('url', '/hooks/' || w.path || CASE w.pattern WHEN '' THEN '' ELSE '/' || w.pattern END,
      'warning', CASE WHEN w.verification ->> 'scheme' = 'none'
        THEN 'nothing is verified: whoever knows the URL starts runs' END);
SELECT nodeai.expose('nodeai.incoming_shown(public.webhooks)', '{authenticated,service_role}');

-- An incoming webhook of the organisation, or NA404.
CREATE FUNCTION nodeai.incoming_webhook(org uuid, webhook uuid) RETURNS public.webhooks
LANGUAGE plpgsql STABLE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  w public.webhooks;
BEGIN
  SELECT * INTO w FROM public.webhooks x WHERE x.id = webhook AND x.org_id = org AND x.direction = 'in';
  IF w.id IS NULL THEN
    RAISE EXCEPTION 'missing' USING ERRCODE = 'NA404';
  END IF;
  RETURN w;
END
$$;
SELECT nodeai.expose('nodeai.incoming_webhook(uuid, uuid)', '{authenticated,service_role}');

-- {"id","row","secret"?}
CREATE FUNCTION nodeai.do_incoming_create(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  args jsonb := p -> 'args';
  given jsonb := args -> 'row';
  made uuid := (args ->> 'id')::uuid;
BEGIN
  IF (SELECT count(*) FROM public.webhooks w WHERE w.org_id = org AND w.direction = 'in') >= 100 THEN
    RAISE EXCEPTION 'an organisation has at most 100 incoming webhooks' USING ERRCODE = 'NA409';
  END IF;
  PERFORM nodeai.require_target(org, (given ->> 'workflow_id')::uuid, (given ->> 'workflow_version')::integer,
    (given ->> 'deployment_id')::uuid);
  PERFORM nodeai.insert_row('webhooks', made, org, given || '{"direction":"in"}');
  IF args -> 'secret' <> 'null' THEN
    PERFORM nodeai.add_webhook_secret(org, made, args -> 'secret', interval '0');
  END IF;
  RETURN jsonb_build_object('version', 1, 'changes', jsonb_build_object('after', nodeai.audit_view(given - 'path')),
    'body', nodeai.incoming_shown(nodeai.incoming_webhook(org, made)));
END
$$;
SELECT nodeai.expose('nodeai.do_incoming_create(uuid, jsonb)', '{authenticated,service_role}');

-- {"id","expect_version"?,"row","forget"?: the secrets of the scheme before,"secret"?}
CREATE FUNCTION nodeai.do_incoming_update(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  args jsonb := p -> 'args';
  given jsonb := args -> 'row';
  names jsonb := (SELECT coalesce(jsonb_agg(k), '[]') FROM jsonb_object_keys(given) k);
  before public.webhooks := nodeai.incoming_webhook(org, (args ->> 'id')::uuid);
  made public.webhooks := jsonb_populate_record(before, given);
BEGIN
  IF given ?| '{workflow_id,workflow_version,deployment_id}' THEN
    PERFORM nodeai.require_target(org, made.workflow_id, made.workflow_version, made.deployment_id);
  END IF;
  PERFORM nodeai.change_row('webhooks', 'update', before.id, org, given, (args ->> 'expect_version')::integer);
  made := nodeai.incoming_webhook(org, before.id);
  IF (args ->> 'forget')::boolean THEN
    PERFORM nodeai.drop_webhook_secrets(org, made.id);
  END IF;
  IF args -> 'secret' <> 'null' THEN
    PERFORM nodeai.add_webhook_secret(org, made.id, args -> 'secret', interval '0');
  END IF;
  RETURN jsonb_build_object('version', made.version, 'body', nodeai.incoming_shown(made), 'changes', jsonb_build_object(
    'before', nodeai.some_of(to_jsonb(before), names), 'after', nodeai.some_of(to_jsonb(made), names)));
END
$$;
SELECT nodeai.expose('nodeai.do_incoming_update(uuid, jsonb)', '{authenticated,service_role}');

-- {"id","expect_version"?}
CREATE FUNCTION nodeai.do_incoming_remove(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  args jsonb := p -> 'args';
  before public.webhooks := nodeai.incoming_webhook(org, (args ->> 'id')::uuid);
BEGIN
  PERFORM nodeai.change_row('webhooks', 'delete', before.id, org, '{}', (args ->> 'expect_version')::integer);
  RETURN jsonb_build_object('changes', jsonb_build_object('before',
    nodeai.audit_view(nodeai.incoming_shown(before) - 'url')));
END
$$;
SELECT nodeai.expose('nodeai.do_incoming_remove(uuid, jsonb)', '{authenticated,service_role}');

-- {"id","expect_version"?,"scheme","secret","overlap_s"}: until the overlap is over, both secrets are taken. The secret was
-- made for the scheme that the caller has seen.
CREATE FUNCTION nodeai.do_incoming_rotate(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  args jsonb := p -> 'args';
  w public.webhooks := nodeai.incoming_webhook(org, (args ->> 'id')::uuid);
  overlap interval := (args ->> 'overlap_s')::bigint * interval '1 second';
BEGIN
  -- The row's lock lets one rotation in at a time.
  PERFORM nodeai.change_row('webhooks', 'update', w.id, org, jsonb_build_object(
    'previous_secret_until', clock_timestamp() + overlap), (args ->> 'expect_version')::integer);
  w := nodeai.incoming_webhook(org, w.id);
  IF w.verification ->> 'scheme' IS DISTINCT FROM args ->> 'scheme' THEN
    RAISE EXCEPTION 'the webhook has another scheme' USING ERRCODE = 'NA409';
  ELSIF w.verification -> 'jwks' <> 'null' THEN
    RAISE EXCEPTION 'the webhook has public keys and no secret' USING ERRCODE = 'NA409';
  END IF;
  PERFORM nodeai.add_webhook_secret(org, w.id, args -> 'secret', overlap);
  RETURN jsonb_build_object('version', w.version, 'body', nodeai.incoming_shown(w),
    'changes', jsonb_build_object('overlap_s', args -> 'overlap_s'));
END
$$;
SELECT nodeai.expose('nodeai.do_incoming_rotate(uuid, jsonb)', '{authenticated,service_role}');

-- Requests -----------------------------------------------------------------------------------------------------------

-- The last 20 requests of each incoming webhook, whatever became of them. Header fields that carry a credential are blanked
-- before they come here.
CREATE TABLE public.webhook_requests (
  id uuid PRIMARY KEY,
  org_id uuid NOT NULL,
  webhook_id uuid NOT NULL CONSTRAINT webhook_requests_webhook REFERENCES public.webhooks (id) ON DELETE CASCADE,
  method text NOT NULL,
  path text NOT NULL,
  query text NOT NULL DEFAULT '',
  headers jsonb NOT NULL DEFAULT '{}',
  body text,
  body_encoding text NOT NULL DEFAULT 'utf8' CONSTRAINT webhook_requests_encoding CHECK (body_encoding IN ('utf8', 'base64')),
  body_bytes bigint NOT NULL DEFAULT 0,
  client_ip text,
  verified boolean NOT NULL,
  reason text,
  delivery_id text,
  outcome text NOT NULL CONSTRAINT webhook_requests_outcome CHECK (outcome IN (
    'unverified', 'recorded', 'started', 'duplicate', 'owner_gone', 'missing', 'forbidden', 'paused', 'archived')),
  execution_id uuid,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX webhook_requests_webhook_idx ON public.webhook_requests (webhook_id, id DESC);
CREATE INDEX webhook_requests_org_idx ON public.webhook_requests (org_id);
SELECT nodeai.tenant_table('public.webhook_requests');
SELECT nodeai.belongs_to('public.webhook_requests', 'webhooks', 'webhook_id');

-- The last requests of an incoming webhook, newest first: {"id","org_id"} → {"requests"} or null.
CREATE FUNCTION public.hook_requests(p jsonb) RETURNS jsonb
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = '' AS $$
  SELECT jsonb_build_object('requests', (
    SELECT coalesce(jsonb_agg(to_jsonb(r) - ARRAY['org_id', 'webhook_id'] ORDER BY r.id DESC), '[]')
    FROM public.webhook_requests r WHERE r.webhook_id = w.id AND r.org_id = w.org_id))
  FROM public.webhooks w
  WHERE w.id = (p ->> 'id')::uuid AND w.direction = 'in'
    AND w.org_id = coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid
$$;
SELECT nodeai.expose('public.hook_requests(jsonb)', '{authenticated,service_role}');

-- Takes from the bucket of an incoming webhook.
CREATE FUNCTION nodeai.hook_take(webhook uuid, per_minute integer) RETURNS jsonb
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
  SELECT nodeai.bucket_take(md5('hook ' || webhook)::uuid, 'webhook', hook_take.per_minute,
    greatest(10, hook_take.per_minute / 6), nodeai.to_us(clock_timestamp()), 1, true)
$$;
SELECT nodeai.expose('nodeai.hook_take(uuid, integer)', '{service_role}');

-- The incoming webhook behind a path, with its secrets, newest first; null when there is none or it is off:
-- {"path"} → {"webhook": {…}, "secrets": […], "rate": {…}}.
CREATE FUNCTION public.hook_find(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  w public.webhooks;
BEGIN
  SELECT * INTO w FROM public.webhooks x
    WHERE x.path = p ->> 'path' AND x.direction = 'in' AND x.disabled_at IS NULL;
  IF w.id IS NULL THEN
    RETURN NULL;
  END IF;
  RETURN jsonb_build_object('webhook', to_jsonb(w), 'rate', nodeai.hook_take(w.id, w.rate_per_minute), 'secrets', (
    SELECT coalesce(jsonb_agg(jsonb_build_object('id', s.id, 'key_version', s.key_version,
      'wrapped_key', encode(s.wrapped_key, 'hex'), 'nonce', encode(s.nonce, 'hex'),
      'ciphertext', encode(s.ciphertext, 'hex')) ORDER BY s.created_at DESC), '[]')
    FROM nodeai.webhook_secrets s
    WHERE s.webhook_id = w.id AND (s.expires_at IS NULL OR s.expires_at > clock_timestamp())));
END
$$;
SELECT nodeai.expose('public.hook_find(jsonb)', '{service_role}');

-- Notes in the audit log that an owner may not run it any more, at most once an hour.
CREATE FUNCTION nodeai.note_owner_gone(w public.webhooks) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
BEGIN
  UPDATE public.webhooks x SET refused_at = clock_timestamp()
    WHERE x.id = w.id AND coalesce(x.refused_at, '-infinity') < clock_timestamp() - interval '1 hour';
  IF FOUND THEN
    PERFORM nodeai.audit(w.org_id, jsonb_build_object('action', 'webhook.refused', 'resource_type', 'webhook',
      'resource_id', w.id, 'details', jsonb_build_object('reason', 'the owner may not run workflows any more',
        'owner_id', w.owner_id, 'owner_key_id', w.owner_key_id)));
  END IF;
END
$$;
SELECT nodeai.expose('nodeai.note_owner_gone(public.webhooks)', '{service_role}');

-- Claims a delivery, once within the webhook's window: its row, or the earlier one's execution when it came before.
-- A repetition that comes meanwhile waits at the unique index until this transaction has ended.
CREATE FUNCTION nodeai.claim_delivery(w public.webhooks, delivery text, run uuid) RETURNS uuid
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  mine uuid;
  earlier uuid;
BEGIN
  INSERT INTO public.webhook_deliveries AS d
      (id, org_id, webhook_id, direction, dedupe_key, event_type, status, execution_id, delivered_at, created_by)
    VALUES (nodeai.uuid_v7(), w.org_id, w.id, 'in', delivery, 'request', 'delivered', run, clock_timestamp(), w.owner_id)
  ON CONFLICT (webhook_id, dedupe_key) WHERE dedupe_key IS NOT NULL DO UPDATE
    SET execution_id = run, created_at = clock_timestamp(), delivered_at = clock_timestamp(), updated_at = clock_timestamp()
    WHERE d.created_at < clock_timestamp() - w.dedupe_window_s * interval '1 second'
  RETURNING d.id INTO mine;
  IF mine IS NULL THEN
    SELECT d.execution_id INTO earlier FROM public.webhook_deliveries d
      WHERE d.webhook_id = w.id AND d.dedupe_key = delivery;
  END IF;
  RETURN earlier;
END
$$;
SELECT nodeai.expose('nodeai.claim_delivery(public.webhooks, text, uuid)', '{service_role}');

-- Starts the run of a delivery: → {"outcome","execution_id"?}.
CREATE FUNCTION nodeai.hook_run(w public.webhooks, execution jsonb, delivery text) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  acting jsonb := nodeai.claims_of_owner(w.org_id, w.owner_id, w.owner_key_id);
  run uuid := (execution ->> 'id')::uuid;
  earlier uuid;
  started jsonb;
BEGIN
  IF acting IS NULL THEN
    PERFORM nodeai.note_owner_gone(w);
    RETURN '{"outcome":"owner_gone"}';
  END IF;
  IF delivery IS NOT NULL THEN
    earlier := nodeai.claim_delivery(w, delivery, run);
    IF earlier IS NOT NULL THEN
      RETURN jsonb_build_object('outcome', 'duplicate', 'execution_id', earlier);
    END IF;
  END IF;
  started := nodeai.start_as(acting, CASE WHEN w.deployment_id IS NULL THEN 'run_start' ELSE 'deployment_start' END,
    execution || jsonb_build_object('org_id', w.org_id) || CASE WHEN w.deployment_id IS NULL
      THEN jsonb_build_object('workflow_id', w.workflow_id, 'version', w.workflow_version)
      ELSE jsonb_build_object('deployment', w.deployment_id) END, NULL);
  IF started ->> 'outcome' <> 'started' THEN
    -- It may be sent again once that is mended.
    DELETE FROM public.webhook_deliveries d WHERE d.webhook_id = w.id AND d.dedupe_key = delivery AND d.execution_id = run;
    RETURN jsonb_build_object('outcome', started -> 'outcome');
  END IF;
  RETURN jsonb_build_object('outcome', 'started', 'execution_id', run);
END
$$;
SELECT nodeai.expose('nodeai.hook_run(public.webhooks, jsonb, text)', '{service_role}');

-- Keeps a request that came, and starts its run when there is one: {"id","request": a row of webhook_requests,
-- "execution"?: {"id","trace_id","inputs",…}} → {"outcome","execution_id"?,"org_id"}; null when the webhook is gone or off.
CREATE FUNCTION public.hook_receive(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  seen public.webhook_requests := jsonb_populate_record(NULL::public.webhook_requests, p -> 'request');
  answer jsonb := jsonb_build_object('outcome', CASE WHEN seen.verified THEN 'recorded' ELSE 'unverified' END);
  w public.webhooks;
BEGIN
  SELECT * INTO w FROM public.webhooks x
    WHERE x.id = (p ->> 'id')::uuid AND x.direction = 'in' AND x.disabled_at IS NULL FOR KEY SHARE;
  IF w.id IS NULL THEN
    RETURN NULL;
  END IF;
  IF seen.verified AND NOT w.listen AND p -> 'execution' <> 'null' THEN
    answer := nodeai.hook_run(w, p -> 'execution', seen.delivery_id);
  END IF;
  INSERT INTO public.webhook_requests (id, org_id, webhook_id, method, path, query, headers, body, body_encoding,
      body_bytes, client_ip, verified, reason, delivery_id, outcome, execution_id)
    VALUES (seen.id, w.org_id, w.id, seen.method, seen.path, coalesce(seen.query, ''), coalesce(seen.headers, '{}'), seen.body,
      coalesce(seen.body_encoding, 'utf8'), coalesce(seen.body_bytes, 0), seen.client_ip, seen.verified, seen.reason,
      seen.delivery_id, answer ->> 'outcome', (answer ->> 'execution_id')::uuid);
  DELETE FROM public.webhook_requests r WHERE r.webhook_id = w.id AND r.id < (
    SELECT x.id FROM public.webhook_requests x WHERE x.webhook_id = w.id ORDER BY x.id DESC OFFSET 19 LIMIT 1);
  RETURN answer || jsonb_build_object('org_id', w.org_id);
END
$$;
SELECT nodeai.expose('public.hook_receive(jsonb)', '{service_role}');

SELECT nodeai.allow_call(fn) FROM unnest(ARRAY['hook_find', 'hook_receive', 'hook_requests']) fn;
