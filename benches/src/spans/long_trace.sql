-- One trace of ten thousand spans on $DAY: chains of a hundred below one root. It is not counted in any sum.
INSERT INTO public.spans (org_id, trace_id, span_id, parent_span_id, day, name, kind, node_id, node_type, status, started_at,
  duration_us, attributes)
SELECT '$ORG'::uuid, md5('the long one'), left(md5('long ' || s), 16),
  CASE WHEN s > 1 THEN left(md5('long ' || CASE WHEN s % 100 = 2 THEN 1 ELSE s - 1 END), 16) END, '$DAY', 'step ' || s, 'internal',
  'n' || s % 50, 'transform', 'ok', '$DAY'::date::timestamp AT TIME ZONE 'UTC' + s * interval '1 millisecond', 1000 + s,
  jsonb_build_object('step', s)
FROM generate_series(1, 10000) AS a(s);
INSERT INTO public.traces (org_id, trace_id, day, name, kind, status, started_at, duration_us, span_count)
VALUES ('$ORG', md5('the long one'), '$DAY', 'long', 'ingest', 'ok', '$DAY'::date::timestamp AT TIME ZONE 'UTC', 10011000, 10000);
INSERT INTO public.trace_days (trace_id, org_id, day) VALUES (md5('the long one'), '$ORG', '$DAY');
