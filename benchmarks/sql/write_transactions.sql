-- audit_transaction, as the triggers would have written it.
INSERT INTO audit_transaction (
    id, issued_at, username, actor_id, db_role, application_name, client_addr, context
)
SELECT
    id,
    issued_at,
    username,
    CASE username WHEN 'integration' THEN '1' WHEN 'auditor' THEN '2' WHEN 'former' THEN '3'
        ELSE CAST(CASE WHEN who = 'staff' THEN 100 + user_number END AS text) END,
    'shop',
    'gunicorn',
    CAST('10.0.0.' || id % 8 AS inet),
    CASE
        WHEN who IN ('baseline', 'reload') THEN jsonb_build_object('command', who)
        WHEN who = 'nobody' AND id % 2 = 0 THEN NULL
        ELSE jsonb_build_object(
            'request_id', md5('request' || id),
            'method', 'POST',
            'path', '/api/' || id % 50,
            'endpoint', 'api.endpoint_' || id % 50,
            'remote_addr', '192.0.2.' || id % 250
        )
    END
FROM (
    SELECT
        *,
        CASE who
            WHEN 'busy' THEN 'integration'
            WHEN 'import' THEN 'integration'
            WHEN 'auditor' THEN 'auditor'
            WHEN 'former' THEN 'former'
            WHEN 'baseline' THEN 'cli:baseline'
            WHEN 'staff' THEN 'user' || user_number
        END AS username
    FROM planned_transaction
) AS planned
ORDER BY id;
