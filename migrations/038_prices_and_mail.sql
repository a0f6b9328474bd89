-- Own prices in what a run and an ingest cost, e-mail as a channel of events, anomalies by the day of the week, exports with
-- what spans carry.

-- Own prices -----------------------------------------------------------------------------------------------------------

-- The organisation's own prices, as the cost engine reads them, newest first; at most 1,000.
CREATE FUNCTION nodeai.own_prices(org uuid) RETURNS jsonb
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = '' AS $$
  SELECT coalesce(jsonb_agg(o.entry || jsonb_build_object('id', o.id, 'version', o.version, 'model', o.model,
    'effective_from', o.effective_from) ORDER BY o.id DESC), '[]')
  FROM (SELECT x.* FROM public.model_overrides x WHERE x.org_id = org ORDER BY x.id DESC LIMIT 1000) o
$$;
SELECT nodeai.expose('nodeai.own_prices(uuid)', '{authenticated,service_role}');

-- What they are known by: empty without any, another one after each change.
CREATE FUNCTION nodeai.own_prices_mark(org uuid) RETURNS text
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = '' AS $$
  SELECT coalesce(md5(string_agg(x.id || ':' || x.version, ',' ORDER BY x.id)), '')
  FROM public.model_overrides x WHERE x.org_id = org
$$;
SELECT nodeai.expose('nodeai.own_prices_mark(uuid)', '{authenticated,service_role}');

-- Spans of a client: {"org_id","spans":[…],"prices"?: the mark of the own prices by which they cost what they cost} →
-- {"inserted","skipped"}, or {"prices":{"mark","rows"}} where others count: then nothing is stored.
CREATE OR REPLACE FUNCTION public.spans_ingest(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  org uuid := coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  mark text;
BEGIN
  IF p ->> 'prices' IS NOT NULL THEN
    mark := nodeai.own_prices_mark(org);
    IF mark <> p ->> 'prices' THEN
      RETURN jsonb_build_object('prices', jsonb_build_object('mark', mark, 'rows', nodeai.own_prices(org)));
    END IF;
  END IF;
  RETURN nodeai.store_spans(org, '[]', p -> 'spans');
END
$$;

-- A run that begins is told the organisation's own prices with its budgets, in the statement that begins it.
ALTER FUNCTION nodeai.begin_run(uuid, jsonb, jsonb, jsonb, jsonb) RENAME TO begin_unpriced_run;
CREATE FUNCTION nodeai.begin_run(org uuid, e jsonb, claim jsonb, workflow jsonb, deployment jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  made jsonb := nodeai.begin_unpriced_run(org, e, claim, workflow, deployment);
BEGIN
  IF made ->> 'outcome' <> 'started' THEN
    RETURN made;
  END IF;
  RETURN jsonb_set(made, '{budgets,prices}', nodeai.own_prices(org));
END
$$;
SELECT nodeai.expose('nodeai.begin_run(uuid, jsonb, jsonb, jsonb, jsonb)', '{authenticated,service_role}');

-- The same of a run that is under way. {"execution_id","org_id"} → as nodeai.budget_standing with "prices", or null.
CREATE OR REPLACE FUNCTION public.budget_standing(p jsonb) RETURNS jsonb
LANGUAGE sql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
  SELECT nodeai.budget_standing(q.org_id, q.user_id, q.key_id, q.workflow_id)
    || jsonb_build_object('prices', nodeai.own_prices(q.org_id))
  FROM public.execution_queue q
  WHERE q.id = (p ->> 'execution_id')::uuid
    AND q.org_id = coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid
$$;

-- Export ---------------------------------------------------------------------------------------------------------------

-- As before, with what was too big for its span.
CREATE OR REPLACE FUNCTION nodeai.export_own(tbl text) RETURNS text
LANGUAGE sql STABLE SET search_path = '' AS $$
  SELECT CASE
    WHEN tbl IN ('organization_members', 'api_keys', 'connections', 'execution_queue') THEN 't.user_id = $2'
    WHEN tbl = 'audit_logs' THEN 't.actor_user_id = $2 OR t.resource_id = $2::text'
    WHEN tbl IN ('spans', 'span_payloads') THEN 'EXISTS (SELECT FROM public.traces x WHERE x.org_id = t.org_id
                               AND x.trace_id = t.trace_id AND x.day = t.day AND x.user_id = $2)'
    WHEN tbl = 'run_log_segments' THEN 'EXISTS (SELECT FROM public.execution_queue x WHERE x.org_id = t.org_id
                               AND x.id = t.execution_id AND x.user_id = $2)'
    ELSE coalesce((
      SELECT string_agg(format('t.%I = $2', a.attname), ' OR ') FROM pg_catalog.pg_attribute a
      WHERE a.attrelid = format('public.%I', tbl)::regclass AND NOT a.attisdropped
        AND a.attname IN ('user_id', 'created_by', 'author')), 'false') END
$$;

-- Anomalies ------------------------------------------------------------------------------------------------------------

-- A measure by the hour or day, without gaps, from `since` to `until` (µs, whole hours or UTC days).
CREATE FUNCTION nodeai.measure_series(org uuid, measure text, workflow uuid, step_us bigint, since bigint, until bigint)
RETURNS double precision[]
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = '' AS $$
  SELECT array_agg(coalesce(v.value, 0) ORDER BY g.i)
  FROM generate_series(0, (until - since) / step_us - 1) AS g(i)
  LEFT JOIN (
    SELECT (nodeai.to_us(c.hour) - since) / step_us AS i, sum(CASE measure WHEN 'cost_usd_micros' THEN c.cost_pusd / 1000000
      WHEN 'errors' THEN c.errors WHEN 'run_errors' THEN c.errors ELSE c.calls END)::double precision AS value
    FROM nodeai.usage_cells(org, since, until) c
    WHERE (c.node_type IS NULL) = (measure LIKE 'run%') AND (workflow IS NULL OR c.workflow_id = workflow)
    GROUP BY 1) v ON v.i = g.i
$$;
SELECT nodeai.expose('nodeai.measure_series(uuid, text, uuid, bigint, bigint, bigint)', '{authenticated,service_role}');

-- How far the last value is from what those before it lead to, in robust standard deviations: their median, with what its
-- place in the season adds (the median of the same places), against the median absolute deviation of what both leave
-- unexplained, which is taken as 5 % of what is expected at least. The same statistic as shared/forecast's. Null where
-- everything was 0.
CREATE FUNCTION nodeai.seasonal_z(y double precision[], season integer, OUT expected double precision, OUT z double precision)
LANGUAGE sql IMMUTABLE SET search_path = '' AS $$
  WITH seen AS (
    SELECT u.v, u.i % season AS place FROM unnest(y[1:cardinality(y) - 1]) WITH ORDINALITY AS u(v, i)
  ), middle AS (
    SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY s.v) AS m FROM seen s
  ), effect AS (
    SELECT s.place, percentile_cont(0.5) WITHIN GROUP (ORDER BY s.v - m.m) AS e FROM seen s CROSS JOIN middle m GROUP BY s.place
  ), rest AS (
    SELECT s.v - m.m - e.e AS r FROM seen s JOIN effect e ON e.place = s.place CROSS JOIN middle m
  ), centre AS (
    SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY r.r) AS c FROM rest r
  ), spread AS (
    SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY abs(r.r - c.c)) AS s FROM rest r CROSS JOIN centre c
  )
  SELECT m.m + e.e, (y[cardinality(y)] - m.m - e.e)
    / nullif(greatest(s.s / 0.6745, 0.05 * abs(m.m + e.e), 0.05 * abs(m.m)), 0)
  FROM middle m CROSS JOIN spread s JOIN effect e ON e.place = cardinality(y) % season
$$;
SELECT nodeai.expose('nodeai.seasonal_z(double precision[], integer)', '{authenticated,service_role}');

-- Whether the last whole day, or hour, was not like those before it: {"measure","threshold","every"?: "day" or "hour",
-- "workflow_id"?}. Eight weeks of the same days of the week (hours of the week) say what is usual; it takes two. Answers
-- {"firing","value" (the z),"observed","expected","from"}.
CREATE FUNCTION nodeai.anomaly_fires(org uuid, c jsonb, at timestamptz) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  hourly boolean := c ->> 'every' = 'hour';
  step bigint := CASE WHEN hourly THEN 3600000000 ELSE 86400000000 END;
  season integer := CASE WHEN hourly THEN 168 ELSE 7 END;
  until bigint := nodeai.to_us(date_trunc(CASE WHEN hourly THEN 'hour' ELSE 'day' END, at, 'UTC'));
  y double precision[] := nodeai.measure_series(org, c ->> 'measure', (c ->> 'workflow_id')::uuid, step,
    until - (8 * season + 1) * step, until);
  begun integer := (SELECT min(u.i) FROM unnest(y) WITH ORDINALITY AS u(v, i) WHERE u.v <> 0);
  expected double precision;
  z double precision;
BEGIN
  -- Before the first value there was nothing to be measured.
  y := y[begun:];
  IF coalesce(cardinality(y), 0) <= 2 * season THEN
    RETURN '{"firing": false, "reason": "less than two weeks are known"}';
  END IF;
  SELECT s.expected, s.z INTO expected, z FROM nodeai.seasonal_z(y, season) s;
  RETURN jsonb_build_object('firing', coalesce(abs(z) >= (c ->> 'threshold')::double precision, false), 'value', z,
    'observed', y[cardinality(y)], 'expected', expected, 'from', nodeai.event_time(nodeai.from_us(until - step)));
END
$$;
SELECT nodeai.expose('nodeai.event_time(timestamptz)', '{authenticated,service_role}');
SELECT nodeai.expose('nodeai.anomaly_fires(uuid, jsonb, timestamptz)', '{authenticated,service_role}');

-- As before; anomalies are asked as above.
ALTER FUNCTION nodeai.rule_fires(uuid, text, jsonb, timestamptz) RENAME TO plain_rule_fires;
CREATE FUNCTION nodeai.rule_fires(org uuid, kind text, c jsonb, at timestamptz) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY INVOKER SET search_path = '' AS $$
BEGIN
  IF kind = 'anomaly' THEN
    RETURN nodeai.anomaly_fires(org, c, at);
  END IF;
  RETURN nodeai.plain_rule_fires(org, kind, c, at);
END
$$;
SELECT nodeai.expose('nodeai.rule_fires(uuid, text, jsonb, timestamptz)', '{authenticated,service_role}');

-- Events by e-mail -----------------------------------------------------------------------------------------------------

-- Where events go: to a URL, or by e-mail through a provider's HTTP API, whose key is a secret of the vault. Deliveries,
-- leases, retries, attempts and replays are the same.
ALTER TABLE public.webhooks
  ADD COLUMN channel text NOT NULL DEFAULT 'http' CONSTRAINT webhooks_channel CHECK (channel IN ('http', 'email')),
  -- {"provider","from","to":[…],"reply_to"?,"base_url"?}
  ADD COLUMN email jsonb,
  ADD COLUMN secret_id uuid CONSTRAINT webhooks_secret REFERENCES public.secrets_vault (id) ON DELETE SET NULL,
  ADD CONSTRAINT webhooks_email_has_addresses CHECK ((channel = 'email') = (email IS NOT NULL));
CREATE INDEX webhooks_secret_idx ON public.webhooks (secret_id) WHERE secret_id IS NOT NULL;
SELECT nodeai.belongs_to('public.webhooks', 'secrets_vault', 'secret_id');
UPDATE nodeai.writable_tables SET insertable = insertable || '{channel,email,secret_id}'::text[],
  updatable = updatable || '{email,secret_id}'::text[] WHERE table_name = 'webhooks';
GRANT INSERT (channel, email, secret_id), UPDATE (email, secret_id) ON public.webhooks TO authenticated;

-- {"id","row":{name,url,event_types,headers,workflow_id?,public_key?,channel?,email?,secret_id?},"secret"?}
CREATE OR REPLACE FUNCTION nodeai.do_webhook_create(org uuid, p jsonb) RETURNS jsonb
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
  PERFORM nodeai.require_webhook_secret(org, (given ->> 'secret_id')::uuid);
  PERFORM nodeai.insert_row('webhooks', (args ->> 'id')::uuid, org, given || '{"direction":"out"}');
  IF nullif(args -> 'secret', 'null') IS NOT NULL THEN
    PERFORM nodeai.add_webhook_secret(org, (args ->> 'id')::uuid, args -> 'secret', interval '0');
  END IF;
  RETURN jsonb_build_object('version', 1, 'changes', jsonb_build_object('after', nodeai.audit_view(given)),
    'body', nodeai.webhook_shown(nodeai.outgoing_webhook(org, (args ->> 'id')::uuid)));
END
$$;

-- Refuses a secret that the organisation does not have.
CREATE FUNCTION nodeai.require_webhook_secret(org uuid, secret uuid) RETURNS void
LANGUAGE plpgsql STABLE SECURITY INVOKER SET search_path = '' AS $$
BEGIN
  IF secret IS NOT NULL AND NOT EXISTS (SELECT FROM public.secrets_vault v WHERE v.id = secret AND v.org_id = org) THEN
    RAISE EXCEPTION 'there is no such secret' USING ERRCODE = 'NA409';
  END IF;
END
$$;
SELECT nodeai.expose('nodeai.require_webhook_secret(uuid, uuid)', '{authenticated,service_role}');

-- {"id","expect_version"?,"row":{name?,url?,event_types?,headers?,workflow_id?,email?,secret_id?,disabled_at?,
-- disabled_reason?}}: a URL stays one, and addresses stay addresses.
CREATE OR REPLACE FUNCTION nodeai.do_webhook_update(org uuid, p jsonb) RETURNS jsonb
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
  IF (given ? 'email') <> (before.channel = 'email') AND (given ? 'email' OR given ? 'url') THEN
    RAISE EXCEPTION 'where events go stays a URL, or stays e-mail addresses; make another webhook' USING ERRCODE = 'NA409';
  END IF;
  PERFORM nodeai.require_webhook_secret(org, (given ->> 'secret_id')::uuid);
  PERFORM nodeai.change_row('webhooks', 'update', before.id, org, given, (args ->> 'expect_version')::integer);
  made := nodeai.outgoing_webhook(org, before.id);
  RETURN jsonb_build_object('version', made.version, 'body', nodeai.webhook_shown(made), 'changes', jsonb_build_object(
    'before', nodeai.some_of(to_jsonb(before), names), 'after', nodeai.some_of(to_jsonb(made), names)));
END
$$;

-- As before, where there is anything that signs.
ALTER FUNCTION nodeai.do_webhook_rotate(uuid, jsonb) RENAME TO rotate_webhook;
CREATE FUNCTION nodeai.do_webhook_rotate(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  w public.webhooks := nodeai.outgoing_webhook(org, (p #>> '{args,id}')::uuid);
BEGIN
  IF w.channel = 'email' THEN
    RAISE EXCEPTION 'e-mails are not signed: rotate the secret with the provider''s key' USING ERRCODE = 'NA409';
  END IF;
  RETURN nodeai.rotate_webhook(org, p);
END
$$;
SELECT nodeai.expose('nodeai.do_webhook_rotate(uuid, jsonb)', '{authenticated,service_role}');

-- The current ciphertext of the secret with which a webhook sends its e-mails, with its row in the access log; null when
-- there is none (any more).
CREATE FUNCTION nodeai.open_webhook_secret(webhook uuid) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  v public.secrets_vault;
  s public.secret_versions;
BEGIN
  SELECT x.* INTO v FROM public.secrets_vault x JOIN public.webhooks w ON w.secret_id = x.id AND w.org_id = x.org_id
    WHERE w.id = webhook AND w.channel = 'email' AND w.direction = 'out';
  SELECT * INTO s FROM public.secret_versions x WHERE x.secret_id = v.id AND x.number = v.current;
  IF s.id IS NULL THEN
    RETURN NULL;
  END IF;
  INSERT INTO public.secret_access_log (org_id, secret_id, number, purpose) VALUES (v.org_id, v.id, s.number, 'webhook');
  RETURN nodeai.sealed_json(s) || jsonb_build_object('name', v.name, 'hosts', v.hosts);
END
$$;
SELECT nodeai.expose('nodeai.open_webhook_secret(uuid)', '{service_role}');

-- As before; what goes by e-mail comes with "email" and "mail_secret" (null when it is gone).
ALTER FUNCTION public.webhooks_claim(jsonb) RENAME TO claim_deliveries;
ALTER FUNCTION public.claim_deliveries(jsonb) SET SCHEMA nodeai;
SELECT nodeai.expose('nodeai.claim_deliveries(jsonb)', '{service_role}');
CREATE FUNCTION public.webhooks_claim(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  claimed jsonb := nodeai.claim_deliveries(p);
  taken jsonb := '[]';
  one jsonb;
  w public.webhooks;
BEGIN
  FOR one IN SELECT * FROM jsonb_array_elements(claimed -> 'deliveries') LOOP
    SELECT * INTO w FROM public.webhooks x WHERE x.id = (one ->> 'webhook_id')::uuid;
    IF w.channel = 'email' THEN
      one := one || jsonb_build_object('email', w.email, 'mail_secret', nodeai.open_webhook_secret(w.id));
    END IF;
    taken := taken || jsonb_build_array(one);
  END LOOP;
  RETURN claimed || jsonb_build_object('deliveries', taken);
END
$$;
SELECT nodeai.expose('public.webhooks_claim(jsonb)', '{service_role}');
