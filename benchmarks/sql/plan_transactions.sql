-- Who makes which transaction, and how many changes in it.
--
-- :transactions of them. The first :baselines are the baseline. Among the others, evenly spread: 20 imports, 24 reloads
-- of the reference table, the 20 transactions of the auditor. The rest by chance, which is a hash of the number: the
-- same history every time.
CREATE UNLOGGED TABLE planned_transaction AS
WITH special (id, who) AS (
    SELECT number, 'baseline' FROM generate_series(1, CAST(:baselines AS bigint)) AS number
    UNION ALL
    SELECT :transactions * (2 * number + 1) / 40, 'import' FROM generate_series(0, 19) AS number
    UNION ALL
    SELECT :transactions * (2 * number + 1) / 48 + 1, 'reload' FROM generate_series(0, 23) AS number
    UNION ALL
    SELECT :transactions * (2 * number + 1) / 40 + 2, 'auditor' FROM generate_series(0, 19) AS number
),
chance AS (
    SELECT
        id,
        (hashint8extended(id, 1) & 1048575) % 1000 AS of_who,
        (hashint8extended(id, 2) & 1048575) % 100 AS of_size,
        (hashint8extended(id, 3) & 1048575) / 1048576.0 AS of_user
    FROM generate_series(1, CAST(:transactions AS bigint)) AS id
)
SELECT
    chance.id,
    CASE
        WHEN special.who IS NOT NULL THEN special.who
        WHEN of_who < 300 THEN 'busy'
        WHEN of_who < 500 THEN 'nobody'
        -- Somebody who left after a tenth of the time.
        WHEN of_who < 550 AND chance.id < :transactions / 10 THEN 'former'
        ELSE 'staff'
    END AS who,
    1 + CAST(floor(power(of_user, 2) * 500) AS integer) AS user_number,
    CASE
        WHEN special.who = 'baseline' THEN :baseline_size
        WHEN special.who = 'reload' THEN :reference_rows + 1
        WHEN special.who = 'import' THEN 0
        WHEN of_size < 40 THEN 1
        WHEN of_size < 60 THEN 2
        WHEN of_size < 75 THEN 4
        WHEN of_size < 91 THEN 8
        ELSE 20
    END AS size,
    CAST(:start AS timestamptz) + (chance.id - 1) * (interval '730 days' / :transactions) AS issued_at
FROM chance
LEFT JOIN special ON special.id = chance.id;

-- The imports have what is left.
UPDATE planned_transaction
SET size = (:rows - (SELECT sum(size) FROM planned_transaction)) / 20
WHERE who = 'import';

UPDATE planned_transaction
SET size = size + :rows - (SELECT sum(size) FROM planned_transaction)
WHERE id = (SELECT max(id) FROM planned_transaction WHERE who = 'import');

ANALYZE planned_transaction;
