-- Connectors of knowledge bases: documents that somebody else has, under keys of theirs. Whoever fetches them (a workflow on a schedule, a
-- program) says what there is; what is new is added, what has changed is indexed again, and what is gone is removed if all of it was said.

ALTER TABLE public.documents
  -- What a document's key (`source_uri`) is one of.
  ADD COLUMN connector text CONSTRAINT documents_connector_length CHECK (char_length(connector) BETWEEN 1 AND 100);
CREATE UNIQUE INDEX documents_connector_key ON public.documents (knowledge_base_id, connector, source_uri) WHERE connector IS NOT NULL;

CREATE FUNCTION nodeai.sync_documents(org uuid, base uuid, source text, given jsonb, complete boolean) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  one jsonb;
  place jsonb;
  d public.documents;
  was integer;
  gone uuid;
  removed integer := 0;
  told jsonb := '[]';
BEGIN
  PERFORM nodeai.require_runner(org);
  -- Two at once would both add what neither has seen.
  PERFORM pg_advisory_xact_lock(hashtextextended('connector ' || base || ' ' || source, 0));
  FOR one IN SELECT g FROM jsonb_array_elements(given) g LOOP
    SELECT * INTO d FROM public.documents x
      WHERE x.knowledge_base_id = base AND x.org_id = org AND x.connector = source AND x.source_uri = one ->> 'source_uri';
    IF d.id IS NULL THEN
      PERFORM nodeai.add_documents(org, base, jsonb_build_array(one || '{"source_kind":"connector"}'), false, NULL);
      UPDATE public.documents x SET connector = source WHERE x.id = (one ->> 'id')::uuid;
      told := told || jsonb_build_array(jsonb_build_object('key', one -> 'source_uri', 'id', one -> 'id', 'outcome', 'added'));
      CONTINUE;
    END IF;
    was := d.version;
    place := jsonb_build_object('id', d.id, 'knowledge_base_id', base);
    d := nodeai.change_document(org, 'content', place || nodeai.some_of(one, '["content","content_hash","content_type"]'));
    IF d.title <> one ->> 'title' OR d.metadata <> coalesce(nullif(one -> 'metadata', 'null'), '{}') THEN
      d := nodeai.change_document(org, 'update', place || jsonb_build_object('row', jsonb_build_object('title', one -> 'title',
        'metadata', coalesce(nullif(one -> 'metadata', 'null'), '{}'))));
    END IF;
    told := told || jsonb_build_array(jsonb_build_object('key', one -> 'source_uri', 'id', d.id,
      'outcome', CASE WHEN d.version = was THEN 'unchanged' ELSE 'changed' END));
  END LOOP;
  IF complete THEN
    FOR gone IN SELECT x.id FROM public.documents x
        WHERE x.knowledge_base_id = base AND x.org_id = org AND x.connector = source
          AND x.source_uri NOT IN (SELECT g ->> 'source_uri' FROM jsonb_array_elements(given) g) ORDER BY x.id LOOP
      PERFORM nodeai.change_document(org, 'remove', jsonb_build_object('id', gone, 'knowledge_base_id', base));
      removed := removed + 1;
    END LOOP;
  END IF;
  RETURN jsonb_build_object('documents', told, 'removed', removed) || (
    SELECT jsonb_build_object('added', count(*) FILTER (WHERE t ->> 'outcome' = 'added'),
      'changed', count(*) FILTER (WHERE t ->> 'outcome' = 'changed'),
      'unchanged', count(*) FILTER (WHERE t ->> 'outcome' = 'unchanged')) FROM jsonb_array_elements(told) t);
END
$$;
SELECT nodeai.expose('nodeai.sync_documents(uuid, uuid, text, jsonb, boolean)', '{authenticated,service_role}');

-- {"knowledge_base_id","connector","documents":[{"id","title","source_uri","content_type"?,"content","content_hash","metadata"}],"complete"}
CREATE FUNCTION nodeai.do_knowledge_sync(org uuid, p jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  args jsonb := p -> 'args';
  k public.knowledge_bases := nodeai.base_of(org, (args ->> 'knowledge_base_id')::uuid);
  done jsonb := nodeai.sync_documents(org, k.id, args ->> 'connector', args -> 'documents', (args ->> 'complete')::boolean);
BEGIN
  RETURN jsonb_build_object('body', done, 'changes', (done - 'documents') || jsonb_build_object('connector', args -> 'connector'));
END
$$;
SELECT nodeai.expose('nodeai.do_knowledge_sync(uuid, jsonb)', '{authenticated,service_role}');

-- As before, and documents may be indexed.
CREATE OR REPLACE FUNCTION nodeai.scopes_of_run(q public.execution_queue, member_role text) RETURNS text[]
LANGUAGE sql STABLE SET search_path = '' AS $$
  SELECT coalesce(array_agg(s.scope ORDER BY s.scope), '{}')
  FROM unnest(ARRAY['files:read', 'files:write', 'knowledge:read', 'knowledge:run', 'knowledge:write', 'tools:read', 'tools:run',
    'webhooks:run']) s (scope)
  WHERE nodeai.scope_covers(nodeai.scopes_of(member_role), s.scope)
    AND (q.key_id IS NULL OR q.workflow_id IS NOT NULL OR EXISTS (
      SELECT FROM public.api_keys k WHERE k.id = q.key_id AND nodeai.scope_covers(k.scopes, s.scope)))
$$;
