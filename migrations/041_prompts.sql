-- Prompt templates: each save is a version of its name; a label such as `production` is at one version of a name.

ALTER TABLE public.prompts
  ADD COLUMN note text CONSTRAINT prompts_note_length CHECK (char_length(note) <= 2000),
  ADD CONSTRAINT prompts_labels_few CHECK (cardinality(labels) <= 20);
CREATE INDEX prompts_org_idx ON public.prompts (org_id, id DESC);
CREATE INDEX prompts_labels_idx ON public.prompts USING gin (labels);
UPDATE nodeai.writable_tables SET insertable = insertable || '{note}'::text[], updatable = updatable || '{note}'::text[]
  WHERE table_name = 'prompts';
GRANT INSERT (note), UPDATE (note) ON public.prompts TO authenticated, service_role;

-- {"id","name","labels","template","note"?}: the next version. One save of a name at a time, so that numbers have no gaps.
CREATE FUNCTION nodeai.do_prompt_save(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  args jsonb := p -> 'args';
  wanted text[] := ARRAY(SELECT jsonb_array_elements_text(coalesce(nullif(args -> 'labels', 'null'), '[]')));
  next integer;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('prompt/' || org || '/' || (args ->> 'name'), 0));
  SELECT coalesce(max(x.number), 0) + 1 INTO next FROM public.prompts x WHERE x.org_id = org AND x.name = args ->> 'name';
  IF next > 1000 THEN
    RAISE EXCEPTION 'a prompt has at most 1000 versions' USING ERRCODE = 'NA409';
  END IF;
  UPDATE public.prompts x SET labels = ARRAY(SELECT l FROM unnest(x.labels) l WHERE l <> ALL (wanted))
    WHERE x.org_id = org AND x.name = args ->> 'name' AND x.labels && wanted;
  PERFORM nodeai.insert_row('prompts', (args ->> 'id')::uuid, org, jsonb_build_object('name', args -> 'name',
    'labels', to_jsonb(wanted), 'template', args -> 'template', 'number', next, 'note', args -> 'note'));
  RETURN jsonb_build_object('version', 1, 'body', nodeai.row_now('prompts', (args ->> 'id')::uuid, org) - 'org_id' - 'created_by',
    'changes', jsonb_build_object('after', jsonb_build_object('name', args -> 'name', 'number', next, 'labels', to_jsonb(wanted))));
END
$$;
SELECT nodeai.expose('nodeai.do_prompt_save(uuid, jsonb)', '{authenticated,service_role}');

-- {"id","labels"}: the version's labels from now on; other versions of its name lose those.
CREATE FUNCTION nodeai.do_prompt_label(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  args jsonb := p -> 'args';
  wanted text[] := ARRAY(SELECT jsonb_array_elements_text(coalesce(nullif(args -> 'labels', 'null'), '[]')));
  this public.prompts;
BEGIN
  SELECT * INTO this FROM public.prompts x WHERE x.org_id = org AND x.id = (args ->> 'id')::uuid;
  IF this.id IS NULL THEN
    RAISE EXCEPTION 'no such prompt' USING ERRCODE = 'NA404';
  END IF;
  PERFORM pg_advisory_xact_lock(hashtextextended('prompt/' || org || '/' || this.name, 0));
  UPDATE public.prompts x SET labels = ARRAY(SELECT l FROM unnest(x.labels) l WHERE l <> ALL (wanted))
    WHERE x.org_id = org AND x.name = this.name AND x.id <> this.id AND x.labels && wanted;
  PERFORM nodeai.change_row('prompts', 'update', this.id, org, jsonb_build_object('labels', to_jsonb(wanted)),
    (args ->> 'expect_version')::integer);
  RETURN jsonb_build_object('version', this.version + 1,
    'body', nodeai.row_now('prompts', this.id, org) - 'org_id' - 'created_by',
    'changes', jsonb_build_object('before', jsonb_build_object('labels', to_jsonb(this.labels)),
      'after', jsonb_build_object('labels', to_jsonb(wanted))));
END
$$;
SELECT nodeai.expose('nodeai.do_prompt_label(uuid, jsonb)', '{authenticated,service_role}');
