-- The checks of the migration before hold for every row: read through once, with writers at work meanwhile.

ALTER TABLE public.spans VALIDATE CONSTRAINT spans_trace_id;
ALTER TABLE public.spans VALIDATE CONSTRAINT spans_span_id;
ALTER TABLE public.spans VALIDATE CONSTRAINT spans_parent_span_id;
ALTER TABLE public.traces VALIDATE CONSTRAINT traces_trace_id;
ALTER TABLE public.execution_queue VALIDATE CONSTRAINT execution_queue_trace_id;
ALTER TABLE public.execution_queue VALIDATE CONSTRAINT execution_queue_span_id;
ALTER TABLE public.execution_queue VALIDATE CONSTRAINT execution_queue_parent_span_id;
