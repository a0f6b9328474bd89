-- Budgets that hold: what a call may cost at most is reserved before it is made and settled after it.
--
-- `spent + reserved <= limit` is checked and changed under the budget's row lock, over all budgets that apply to a run at
-- once and always in the order of their ids, so that two calls never wait for each other. The window of a day, week or
-- month (UTC) turns in the same statement. What is reserved stays reserved over that, and counts where it is settled.

-- What a USD budget does with a call whose price is not known.
ALTER TABLE public.budgets ADD COLUMN unpriced text NOT NULL DEFAULT 'refuse'
  CONSTRAINT budgets_unpriced CHECK (unpriced IN ('refuse', 'allow'));
UPDATE nodeai.writable_tables SET insertable = insertable || '{unpriced}'::text[], updatable = updatable || '{unpriced}'::text[]
  WHERE table_name = 'budgets';
GRANT INSERT (unpriced), UPDATE (unpriced) ON public.budgets TO authenticated;

-- One row per call and budget. Private: who knew a ticket could settle it for nothing. `lapsed_in`: the call was never
-- settled in time, so all of it was taken as spent, in the window that began then; it stays for a settlement that is late.
CREATE TABLE nodeai.budget_reservations (
  ticket uuid NOT NULL,
  budget_id uuid NOT NULL CONSTRAINT budget_reservations_budget REFERENCES public.budgets (id) ON DELETE CASCADE,
  org_id uuid NOT NULL,
  execution_id uuid NOT NULL,
  tokens bigint NOT NULL CONSTRAINT budget_reservations_tokens CHECK (tokens >= 0),
  pusd bigint NOT NULL CONSTRAINT budget_reservations_pusd CHECK (pusd >= 0),
  expires_at timestamptz NOT NULL,
  lapsed_in timestamptz,
  PRIMARY KEY (ticket, budget_id)
);
CREATE INDEX budget_reservations_budget_idx ON nodeai.budget_reservations (budget_id, expires_at);
CREATE INDEX budget_reservations_expires_idx ON nodeai.budget_reservations (expires_at);
SELECT nodeai.lock_table('nodeai.budget_reservations');

-- When the window that holds `at` began; before everything for a budget without windows.
CREATE FUNCTION nodeai.budget_window(period text, at timestamptz) RETURNS timestamptz LANGUAGE sql IMMUTABLE
  RETURN CASE WHEN period IN ('day', 'week', 'month')
    THEN date_trunc(period, at AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' ELSE '-infinity'::timestamptz END;
SELECT nodeai.expose('nodeai.budget_window(text, timestamptz)', '{authenticated,service_role}');

-- When it ends; null for a budget without windows.
CREATE FUNCTION nodeai.budget_reset(period text, at timestamptz) RETURNS timestamptz LANGUAGE sql IMMUTABLE
  RETURN CASE WHEN period IN ('day', 'week', 'month')
    THEN (date_trunc(period, at AT TIME ZONE 'UTC') + ('1 ' || period)::interval) AT TIME ZONE 'UTC' END;
SELECT nodeai.expose('nodeai.budget_reset(text, timestamptz)', '{authenticated,service_role}');

-- The budget as it is at `at`: with nothing spent when its window has begun since it was last used.
CREATE FUNCTION nodeai.budget_at(b public.budgets, at timestamptz) RETURNS public.budgets
LANGUAGE plpgsql IMMUTABLE SET search_path = '' AS $$
DECLARE
  opened timestamptz := nodeai.budget_window(b.period, at);
BEGIN
  IF b.period_start < opened THEN
    b.spent_pusd := 0;
    b.spent_tokens := 0;
    b.period_start := opened;
  END IF;
  RETURN b;
END
$$;
SELECT nodeai.expose('nodeai.budget_at(public.budgets, timestamptz)', '{authenticated,service_role}');

-- As the API shows it. What the runs of a budget per run have spent, each run's own usage says.
CREATE FUNCTION nodeai.budget_json(stored public.budgets) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SET search_path = '' AS $$
DECLARE
  at timestamptz := clock_timestamp();
  b public.budgets := nodeai.budget_at(stored, at);
  counts boolean := b.period <> 'run';
BEGIN
  RETURN jsonb_build_object(
    'id', b.id, 'name', b.name, 'subject', b.subject_kind,
    'subject_id', CASE WHEN b.subject_kind <> 'organization' THEN b.subject_id END, 'period', b.period,
    'limit_usd_micros', b.limit_pusd / 1000000, 'limit_tokens', b.limit_tokens,
    'spent_usd_micros', CASE WHEN counts THEN round(b.spent_pusd / 1000000.0)::bigint END,
    'spent_tokens', CASE WHEN counts THEN b.spent_tokens END,
    'reserved_usd_micros', CASE WHEN counts THEN round(b.reserved_pusd / 1000000.0)::bigint END,
    'reserved_tokens', CASE WHEN counts THEN b.reserved_tokens END)
  || jsonb_build_object(
    'remaining_usd_micros', CASE WHEN counts AND b.limit_pusd IS NOT NULL
      THEN greatest(0, b.limit_pusd - b.spent_pusd - b.reserved_pusd) / 1000000 END,
    'remaining_tokens', CASE WHEN counts AND b.limit_tokens IS NOT NULL
      THEN greatest(0, b.limit_tokens - b.spent_tokens - b.reserved_tokens) END,
    'resets_at', nodeai.budget_reset(b.period, at), 'unpriced', b.unpriced, 'version', b.version,
    'created_at', b.created_at, 'updated_at', b.updated_at);
END
$$;
SELECT nodeai.expose('nodeai.budget_json(public.budgets)', '{authenticated,service_role}');

-- Newest first. {"org_id","id"?,"subject"?,"subject_id"?,"before"? (an id),"limit"} → [budget].
CREATE FUNCTION public.budgets_list(p jsonb) RETURNS jsonb
LANGUAGE sql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
  SELECT coalesce(jsonb_agg(nodeai.budget_json(b) ORDER BY b.id DESC), '[]')
  FROM (
    SELECT x.* FROM public.budgets x
    WHERE x.org_id = coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid
      AND (p ->> 'id' IS NULL OR x.id = (p ->> 'id')::uuid)
      AND (p ->> 'subject' IS NULL OR x.subject_kind = p ->> 'subject')
      AND (p ->> 'subject_id' IS NULL OR x.subject_id = (p ->> 'subject_id')::uuid)
      AND (p ->> 'before' IS NULL OR x.id < (p ->> 'before')::uuid)
    ORDER BY x.id DESC LIMIT (p ->> 'limit')::integer) b
$$;
SELECT nodeai.expose('public.budgets_list(jsonb)', '{authenticated,service_role}');

-- Changes ------------------------------------------------------------------------------------------------------------

-- Refuses a subject that is not the organisation's.
CREATE FUNCTION nodeai.require_subject(org uuid, kind text, subject uuid) RETURNS void
LANGUAGE plpgsql STABLE SECURITY INVOKER SET search_path = '' AS $$
BEGIN
  IF NOT (CASE kind
    WHEN 'user' THEN EXISTS (SELECT FROM public.organization_members m WHERE m.org_id = org AND m.user_id = subject)
    WHEN 'key' THEN EXISTS (SELECT FROM public.api_keys k WHERE k.org_id = org AND k.id = subject)
    WHEN 'workflow' THEN EXISTS (
      SELECT FROM public.workflows w WHERE w.org_id = org AND w.id = subject AND w.deleted_at IS NULL)
    ELSE subject = org END)
  THEN
    RAISE EXCEPTION 'there is no such % here', kind USING ERRCODE = 'NA409';
  END IF;
END
$$;
SELECT nodeai.expose('nodeai.require_subject(uuid, text, uuid)', '{authenticated,service_role}');

-- {"id","name","subject","subject_id"?,"period","limit_pusd"?,"limit_tokens"?,"unpriced"}
CREATE FUNCTION nodeai.do_budget_create(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  args jsonb := p -> 'args';
  subject uuid := coalesce((args ->> 'subject_id')::uuid, org);
  given jsonb := args - ARRAY['id', 'subject', 'subject_id']
    || jsonb_build_object('subject_kind', args -> 'subject', 'subject_id', subject);
  made public.budgets;
BEGIN
  PERFORM nodeai.require_subject(org, args ->> 'subject', subject);
  PERFORM nodeai.insert_row('budgets', (args ->> 'id')::uuid, org, given);
  SELECT * INTO made FROM public.budgets b WHERE b.id = (args ->> 'id')::uuid;
  RETURN jsonb_build_object('version', made.version, 'body', nodeai.budget_json(made),
    'changes', jsonb_build_object('after', nodeai.audit_view(given)));
END
$$;
SELECT nodeai.expose('nodeai.do_budget_create(uuid, jsonb)', '{authenticated,service_role}');

-- {"id","expect_version"?,"row":{name?, limit_pusd?, limit_tokens?, unpriced?}}
CREATE FUNCTION nodeai.do_budget_update(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  args jsonb := p -> 'args';
  names jsonb := (SELECT coalesce(jsonb_agg(k), '[]') FROM jsonb_object_keys(args -> 'row') k);
  before jsonb := nodeai.row_now('budgets', (args ->> 'id')::uuid, org);
  made public.budgets;
BEGIN
  PERFORM nodeai.change_row('budgets', 'update', (args ->> 'id')::uuid, org, args -> 'row',
    (args ->> 'expect_version')::integer);
  SELECT * INTO made FROM public.budgets b WHERE b.id = (args ->> 'id')::uuid;
  RETURN jsonb_build_object('version', made.version, 'body', nodeai.budget_json(made), 'changes', jsonb_build_object(
    'before', nodeai.some_of(before, names), 'after', nodeai.some_of(to_jsonb(made), names)));
END
$$;
SELECT nodeai.expose('nodeai.do_budget_update(uuid, jsonb)', '{authenticated,service_role}');

-- Runs ---------------------------------------------------------------------------------------------------------------

-- Whether a budget is one of a run of this user, key and workflow.
CREATE FUNCTION nodeai.budget_covers(kind text, subject uuid, run_user uuid, run_key uuid, run_workflow uuid)
RETURNS boolean LANGUAGE sql IMMUTABLE
  RETURN coalesce(CASE kind WHEN 'organization' THEN true WHEN 'user' THEN subject = run_user
    WHEN 'key' THEN subject = run_key ELSE subject = run_workflow END, false);
SELECT nodeai.expose('nodeai.budget_covers(text, uuid, uuid, uuid, uuid)', '{}');

-- Acts on the budgets of an organisation for whoever may run there, though only its admins may change them.
CREATE FUNCTION nodeai.require_runner(org uuid) RETURNS void
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' AS $$
BEGIN
  IF current_setting('role') NOT IN ('none', 'service_role')
     AND NOT coalesce(org = ANY (nodeai.orgs_with('editor')), false) THEN
    RAISE EXCEPTION 'not an editor' USING ERRCODE = 'insufficient_privilege';
  END IF;
END
$$;
SELECT nodeai.expose('nodeai.require_runner(uuid)', '{}');

-- What a run has to heed: whether its calls must reserve (`applies`), the lowest limits per run, and the first budget
-- that is used up. {"applies","run":{"pusd","tokens","unpriced"},"used_up"}.
CREATE FUNCTION nodeai.budget_standing(org uuid, run_user uuid, run_key uuid, run_workflow uuid) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  at timestamptz := clock_timestamp();
  stored public.budgets;
  b public.budgets;
  applies boolean := false;
  run_pusd bigint;
  run_tokens bigint;
  run_unpriced text := 'allow';
  used_up jsonb;
BEGIN
  FOR stored IN
    SELECT * FROM public.budgets x WHERE x.org_id = org
      AND nodeai.budget_covers(x.subject_kind, x.subject_id, run_user, run_key, run_workflow)
    ORDER BY x.id
  LOOP
    b := nodeai.budget_at(stored, at);
    IF b.period = 'run' THEN
      run_pusd := least(run_pusd, b.limit_pusd);
      run_tokens := least(run_tokens, b.limit_tokens);
      run_unpriced := CASE WHEN b.limit_pusd IS NOT NULL AND b.unpriced = 'refuse' THEN 'refuse' ELSE run_unpriced END;
    ELSE
      applies := true;
      IF used_up IS NULL AND (b.spent_pusd >= b.limit_pusd OR b.spent_tokens >= b.limit_tokens) THEN
        used_up := nodeai.budget_json(stored) || jsonb_build_object(
          'resets_us', nodeai.to_us(nodeai.budget_reset(b.period, at)));
      END IF;
    END IF;
  END LOOP;
  IF applies OR run_pusd IS NOT NULL OR run_tokens IS NOT NULL THEN
    PERFORM nodeai.require_runner(org);
  END IF;
  RETURN jsonb_build_object('applies', applies, 'used_up', used_up,
    'run', jsonb_build_object('pusd', run_pusd, 'tokens', run_tokens, 'unpriced', run_unpriced));
END
$$;
SELECT nodeai.expose('nodeai.budget_standing(uuid, uuid, uuid, uuid)', '{authenticated,service_role}');

-- The same of a run that is under way. {"execution_id","org_id"} → as nodeai.budget_standing, or null.
CREATE FUNCTION public.budget_standing(p jsonb) RETURNS jsonb
LANGUAGE sql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
  SELECT nodeai.budget_standing(q.org_id, q.user_id, q.key_id, q.workflow_id)
  FROM public.execution_queue q
  WHERE q.id = (p ->> 'execution_id')::uuid
    AND q.org_id = coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid
$$;
SELECT nodeai.expose('public.budget_standing(jsonb)', '{authenticated,service_role}');

-- A run that begins is told, in the statement that begins it: one without budgets costs no further statement.
ALTER FUNCTION nodeai.begin_run(uuid, jsonb, jsonb, jsonb, jsonb) RENAME TO make_run;
CREATE FUNCTION nodeai.begin_run(org uuid, e jsonb, claim jsonb, workflow jsonb, deployment jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  made jsonb := nodeai.make_run(org, e, claim, workflow, deployment);
BEGIN
  IF made ->> 'outcome' <> 'started' THEN
    RETURN made;
  END IF;
  RETURN made || jsonb_build_object('budgets', nodeai.budget_standing(org, auth.uid(),
    nullif(nodeai.claims() ->> 'key_id', '')::uuid, (workflow ->> 'id')::uuid));
END
$$;
SELECT nodeai.expose('nodeai.begin_run(uuid, jsonb, jsonb, jsonb, jsonb)', '{authenticated,service_role}');

-- The body of public.budget_reserve. Whose budgets count, the execution's own row says, not the caller.
CREATE FUNCTION nodeai.reserve_budget(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  org uuid := coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  given_ticket uuid := (p ->> 'ticket')::uuid;
  want_tokens bigint := (p ->> 'tokens')::bigint;
  known_pusd bigint := (p ->> 'pusd')::bigint;
  want_pusd bigint := coalesce(known_pusd, 0);
  at timestamptz;
  run public.execution_queue;
  stored public.budgets;
  b public.budgets;
  held uuid[] := '{}';
  busy jsonb;
BEGIN
  PERFORM nodeai.require_runner(org);
  SELECT * INTO run FROM public.execution_queue q
    WHERE q.id = (p ->> 'execution_id')::uuid AND q.org_id = org AND q.status = 'running';
  IF run.id IS NULL THEN
    RETURN '{"outcome":"lost"}';
  ELSIF EXISTS (SELECT FROM nodeai.budget_reservations r WHERE r.ticket = given_ticket AND r.org_id = org) THEN
    RETURN '{"outcome":"granted"}'; -- the first answer was lost on its way
  END IF;
  FOR stored IN
    SELECT * FROM public.budgets x WHERE x.org_id = org AND x.period <> 'run'
      AND nodeai.budget_covers(x.subject_kind, x.subject_id, run.user_id, run.key_id, run.workflow_id)
    ORDER BY x.id FOR NO KEY UPDATE
  LOOP
    at := clock_timestamp(); -- now that the row is ours: the wait may have gone past midnight
    b := nodeai.budget_at(stored, at);
    IF b.limit_pusd IS NOT NULL AND known_pusd IS NULL AND b.unpriced = 'refuse' THEN
      RETURN jsonb_build_object('outcome', 'unpriced', 'budget', nodeai.budget_json(stored));
    ELSIF b.limit_pusd - b.spent_pusd < want_pusd OR b.limit_tokens - b.spent_tokens < want_tokens THEN
      RETURN jsonb_build_object('outcome', 'exceeded', 'budget', nodeai.budget_json(stored));
    ELSIF b.limit_pusd - b.spent_pusd - b.reserved_pusd < want_pusd
       OR b.limit_tokens - b.spent_tokens - b.reserved_tokens < want_tokens THEN
      busy := coalesce(busy, nodeai.budget_json(stored)); -- another one may be used up for good
    END IF;
    held := held || b.id;
  END LOOP;
  IF busy IS NOT NULL THEN
    RETURN jsonb_build_object('outcome', 'busy', 'budget', busy);
  END IF;
  UPDATE public.budgets x SET
      spent_pusd = (n.b).spent_pusd, spent_tokens = (n.b).spent_tokens, period_start = (n.b).period_start,
      reserved_pusd = x.reserved_pusd + want_pusd, reserved_tokens = x.reserved_tokens + want_tokens
    FROM (SELECT nodeai.budget_at(y, at) AS b FROM public.budgets y WHERE y.id = ANY (held)) n
    WHERE x.id = (n.b).id;
  INSERT INTO nodeai.budget_reservations (ticket, budget_id, org_id, execution_id, tokens, pusd, expires_at)
    SELECT given_ticket, h, org, run.id, want_tokens, want_pusd,
      clock_timestamp() + (p ->> 'lasts_us')::bigint * interval '1 microsecond'
    FROM unnest(held) h;
  RETURN '{"outcome":"granted"}';
END
$$;
SELECT nodeai.expose('nodeai.reserve_budget(jsonb)', '{authenticated,service_role}');

-- Reserves what a call may cost at most in every budget of its run, or in none: {"org_id","execution_id","ticket" (drawn by
-- the caller),"tokens","pusd" (null: not known),"lasts_us"} → {"outcome":"granted|busy|exceeded|unpriced|lost","budget"}.
-- Busy: it would fit, were it not for calls that are not settled yet.
CREATE FUNCTION public.budget_reserve(p jsonb) RETURNS jsonb
LANGUAGE sql VOLATILE SECURITY INVOKER SET search_path = '' AS $$ SELECT nodeai.reserve_budget(p) $$;
SELECT nodeai.expose('public.budget_reserve(jsonb)', '{authenticated,service_role}');

-- The body of public.budget_settle. A ticket that has lapsed was counted in full: what it really cost corrects that, as
-- long as the window has not turned.
CREATE FUNCTION nodeai.settle_budget(p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  org uuid := coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  tickets uuid[] := ARRAY(SELECT (t ->> 'ticket')::uuid FROM jsonb_array_elements(p -> 'tickets') t);
  stored public.budgets;
  b public.budgets;
  sums record;
BEGIN
  PERFORM nodeai.require_runner(org);
  FOR stored IN
    SELECT * FROM public.budgets x WHERE x.org_id = org AND x.id IN (
      SELECT r.budget_id FROM nodeai.budget_reservations r WHERE r.ticket = ANY (tickets) AND r.org_id = org)
    ORDER BY x.id FOR NO KEY UPDATE
  LOOP
    b := nodeai.budget_at(stored, clock_timestamp());
    WITH gone AS (
      DELETE FROM nodeai.budget_reservations r WHERE r.budget_id = b.id AND r.ticket = ANY (tickets) RETURNING r.*
    ), used AS (
      SELECT g.*, greatest(0, coalesce((t ->> 'pusd')::bigint, g.pusd)) AS used_pusd,
        greatest(0, coalesce((t ->> 'tokens')::bigint, g.tokens)) AS used_tokens
      FROM gone g JOIN jsonb_array_elements(p -> 'tickets') t ON (t ->> 'ticket')::uuid = g.ticket
    )
    SELECT coalesce(sum(u.pusd) FILTER (WHERE u.lapsed_in IS NULL), 0) AS freed_pusd,
        coalesce(sum(u.tokens) FILTER (WHERE u.lapsed_in IS NULL), 0) AS freed_tokens,
        coalesce(sum(CASE WHEN u.lapsed_in IS NULL THEN u.used_pusd
          WHEN u.lapsed_in >= b.period_start THEN u.used_pusd - u.pusd ELSE 0 END), 0) AS more_pusd,
        coalesce(sum(CASE WHEN u.lapsed_in IS NULL THEN u.used_tokens
          WHEN u.lapsed_in >= b.period_start THEN u.used_tokens - u.tokens ELSE 0 END), 0) AS more_tokens
      INTO sums FROM used u;
    UPDATE public.budgets x SET
        spent_pusd = greatest(0, b.spent_pusd + sums.more_pusd),
        spent_tokens = greatest(0, b.spent_tokens + sums.more_tokens),
        reserved_pusd = greatest(0, b.reserved_pusd - sums.freed_pusd),
        reserved_tokens = greatest(0, b.reserved_tokens - sums.freed_tokens), period_start = b.period_start
      WHERE x.id = b.id;
  END LOOP;
  RETURN '{"outcome":"settled"}';
END
$$;
SELECT nodeai.expose('nodeai.settle_budget(jsonb)', '{authenticated,service_role}');

-- Puts what calls have cost in the place of what was reserved for them: {"org_id","tickets":[{"ticket","tokens"?,"pusd"?}]}.
-- Without sums the call may have cost all that was reserved, and counts so. A ticket that is gone changes nothing.
CREATE FUNCTION public.budget_settle(p jsonb) RETURNS jsonb
LANGUAGE sql VOLATILE SECURITY INVOKER SET search_path = '' AS $$ SELECT nodeai.settle_budget(p) $$;
SELECT nodeai.expose('public.budget_settle(jsonb)', '{authenticated,service_role}');

SELECT nodeai.allow_call(fn) FROM unnest(ARRAY['budgets_list', 'budget_standing', 'budget_reserve', 'budget_settle']) fn;

-- Housekeeping -------------------------------------------------------------------------------------------------------

-- Reservations of runs that died: their calls may have been made, so what was reserved counts as spent. Returns how many.
CREATE FUNCTION nodeai.lapse_reservations() RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  stored public.budgets;
  b public.budgets;
  sums record;
  n bigint := 0;
BEGIN
  FOR stored IN
    SELECT * FROM public.budgets x WHERE x.id IN (SELECT r.budget_id FROM nodeai.budget_reservations r
      WHERE r.expires_at < clock_timestamp() AND r.lapsed_in IS NULL)
    ORDER BY x.id FOR NO KEY UPDATE
  LOOP
    b := nodeai.budget_at(stored, clock_timestamp());
    WITH late AS (
      UPDATE nodeai.budget_reservations r SET lapsed_in = b.period_start
      WHERE r.budget_id = b.id AND r.expires_at < clock_timestamp() AND r.lapsed_in IS NULL RETURNING r.*
    )
    SELECT count(*) AS rows, coalesce(sum(l.pusd), 0) AS pusd, coalesce(sum(l.tokens), 0) AS tokens INTO sums FROM late l;
    UPDATE public.budgets x SET
        spent_pusd = b.spent_pusd + sums.pusd, spent_tokens = b.spent_tokens + sums.tokens,
        reserved_pusd = greatest(0, b.reserved_pusd - sums.pusd),
        reserved_tokens = greatest(0, b.reserved_tokens - sums.tokens), period_start = b.period_start
      WHERE x.id = b.id;
    n := n + sums.rows;
  END LOOP;
  DELETE FROM nodeai.budget_reservations r WHERE r.lapsed_in IS NOT NULL AND r.expires_at < now() - interval '7 days';
  RETURN n;
END
$$;
SELECT nodeai.expose('nodeai.lapse_reservations()', '{}');

-- All of it, and the reservations.
ALTER FUNCTION nodeai.housekeeping(jsonb) RENAME TO keep_house;
CREATE FUNCTION nodeai.housekeeping(p jsonb) RETURNS jsonb
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
  SELECT nodeai.keep_house(p) || jsonb_build_object('reservations_lapsed', nodeai.lapse_reservations())
$$;
SELECT nodeai.expose('nodeai.housekeeping(jsonb)', '{service_role}');
