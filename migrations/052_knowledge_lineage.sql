-- Which answers rested on a document, from the spans of searches; what of a base is stale, orphaned, or there twice.

-- The last stage of a search names what it gave, with the documents (functions/knowledge-base/src/search/spans.rs).
CREATE INDEX spans_search_idx ON public.spans (org_id, (attributes ->> 'gen_ai.data_source.id'), started_at DESC)
  WHERE name = 'search' AND attributes ? 'gen_ai.data_source.id';

-- {"id","org_id","document_id","from_us"?,"limit","before"?: {"at_us","id"}} → {"answers": [{"span_id","trace_id","at_us","at","execution_id",
-- "workflow_id","name","status","chunks": [{"id","rank","score","current"}]}]}, newest first, or null where there is no such document.
-- `current`: whether the document still has the chunk.
CREATE FUNCTION public.knowledge_answers(p jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY INVOKER SET search_path = '' AS $$
DECLARE
  org uuid := coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  document text := p ->> 'document_id';
  since timestamptz := coalesce(nodeai.from_us((p ->> 'from_us')::bigint), now() - interval '30 days');
  until timestamptz := coalesce(nodeai.from_us((p #>> '{before,at_us}')::bigint), 'infinity');
BEGIN
  IF NOT EXISTS (SELECT FROM public.documents d WHERE d.id = document::uuid AND d.org_id = org
      AND d.knowledge_base_id = (p ->> 'id')::uuid) THEN
    RETURN NULL;
  END IF;
  RETURN (
    WITH searches AS MATERIALIZED (
      SELECT s.span_id, s.trace_id, s.day, s.started_at, s.attributes -> 'gen_ai.retrieval.documents' AS given FROM public.spans s
      WHERE s.org_id = org AND s.name = 'search' AND s.attributes ? 'gen_ai.data_source.id'
        AND s.attributes ->> 'gen_ai.data_source.id' = p ->> 'id'
        AND s.day >= (since AT TIME ZONE 'UTC')::date AND s.started_at >= since
        AND (s.started_at, s.span_id) < (until, coalesce(p #>> '{before,id}', ''))
        AND s.attributes -> 'gen_ai.retrieval.documents' @> jsonb_build_array(
          jsonb_build_object('metadata', jsonb_build_object('document_id', document)))
      ORDER BY s.started_at DESC, s.span_id DESC LIMIT (p ->> 'limit')::integer
    )
    SELECT jsonb_build_object('answers', coalesce(jsonb_agg(jsonb_build_object('span_id', s.span_id, 'trace_id', s.trace_id,
        'at_us', nodeai.to_us(s.started_at), 'at', s.started_at, 'execution_id', t.execution_id, 'workflow_id', t.workflow_id,
        'name', t.name, 'status', t.status,
        'chunks', (SELECT jsonb_agg(jsonb_build_object('id', g.hit ->> 'id', 'rank', g.rank, 'score', g.hit -> 'score',
            'current', EXISTS (SELECT FROM public.chunks c WHERE c.id = (g.hit ->> 'id')::uuid)) ORDER BY g.rank)
          FROM jsonb_array_elements(s.given) WITH ORDINALITY AS g (hit, rank)
          WHERE g.hit #>> '{metadata,document_id}' = document)) ORDER BY s.started_at DESC, s.span_id DESC), '[]'))
    FROM searches s LEFT JOIN LATERAL (
      SELECT x.execution_id, x.workflow_id, x.name, x.status FROM public.traces x
      WHERE x.org_id = org AND x.trace_id = s.trace_id AND x.day BETWEEN s.day - 1 AND s.day + 1
      ORDER BY x.execution_id IS NULL, x.started_at LIMIT 1) t ON true);
END
$$;
SELECT nodeai.expose('public.knowledge_answers(jsonb)', '{authenticated,service_role}');
SELECT nodeai.allow_call('knowledge_answers');

-- As in 043, and {"stale_days"?: 30} → "stale": documents whose index does not say what their source does, with why: `changed` (new
-- content waits), `failed` (what is searched is of before), `old` (the source was last asked longer ago than that); "orphans": chunks of
-- indexes that are no more, and chunks that the document's count does not know of; "repeated": texts that several documents have.
CREATE FUNCTION nodeai.report_decay(p jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = '' AS $$
DECLARE
  org uuid := coalesce(nullif(p ->> 'org_id', ''), nodeai.claims() ->> 'org_id')::uuid;
  k public.knowledge_bases;
  old timestamptz := now() - coalesce((p ->> 'stale_days')::integer, 30) * interval '1 day';
BEGIN
  PERFORM nodeai.require_member(org);
  SELECT * INTO k FROM public.knowledge_bases x WHERE x.id = (p ->> 'id')::uuid AND x.org_id = org;
  RETURN jsonb_build_object(
    'stale', (SELECT coalesce(jsonb_agg(jsonb_build_object('document_id', x.id, 'title', x.title, 'why', x.why, 'fetched_at', x.fetched_at)), '[]')
      FROM (SELECT d.id, d.title, d.fetched_at, CASE WHEN d.status = 'failed' THEN 'failed' WHEN d.pending_content IS NOT NULL THEN 'changed'
            ELSE 'old' END AS why
        FROM public.documents d WHERE d.knowledge_base_id = k.id AND d.org_id = org AND d.chunk_count > 0
          AND (d.pending_content IS NOT NULL OR d.status = 'failed' OR d.source_kind = 'url' AND d.fetched_at < old)
        ORDER BY d.id DESC LIMIT 100) x),
    'orphans', (SELECT count(*) FROM public.chunks c WHERE c.knowledge_base_id = k.id AND NOT EXISTS (
        SELECT FROM public.knowledge_indexes i WHERE i.knowledge_base_id = k.id AND i.number = c.index_version))
      + (SELECT coalesce(sum(greatest(0, x.n - x.chunk_count)), 0) FROM (
          SELECT d.chunk_count, count(c.id) AS n FROM public.documents d JOIN public.chunks c
            ON c.document_id = d.id AND c.index_version = k.active_index
          WHERE d.knowledge_base_id = k.id GROUP BY d.id, d.chunk_count) x),
    'repeated', (SELECT coalesce(jsonb_agg(jsonb_build_object('content_hash', x.content_hash, 'documents', x.documents)), '[]')
      FROM (SELECT c.content_hash, jsonb_agg(DISTINCT c.document_id) AS documents FROM public.chunks c
        WHERE c.knowledge_base_id = k.id AND c.index_version = k.active_index
        GROUP BY c.content_hash HAVING count(DISTINCT c.document_id) > 1 ORDER BY count(DISTINCT c.document_id) DESC, 1 LIMIT 100) x));
END
$$;
SELECT nodeai.expose('nodeai.report_decay(jsonb)', '{authenticated,service_role}');
CREATE OR REPLACE FUNCTION public.knowledge_report(p jsonb) RETURNS jsonb
LANGUAGE sql STABLE SECURITY INVOKER SET search_path = '' AS $$
  SELECT r || nodeai.report_decay(p) FROM nodeai.report_base(p) r
$$;
