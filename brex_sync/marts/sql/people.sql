/*
description: >-
  Everyone in the account with the names of what they are given one of, those who left included.
grain: One row per user.
key: [connection, user_id]
sources: [users, departments, locations, titles, cost_centers, legal_entities]
stored: false
columns:
  connection: The connection.
  user_id: Brex's identifier of the user.
  name: First and last name. Personal data.
  email: E-mail address. Personal data.
  status: INVITED, ACTIVE, DISABLED, ARCHIVED, DELETED and others, as Brex says it.
  is_active: Whether the status is ACTIVE; null where Brex gives none.
  manager_id: The user this user reports to.
  manager: Name of that user. Personal data.
  department_id: Department.
  department: Name of the department.
  location_id: Location.
  location: Name of the location.
  title: Job title.
  cost_center_id: Cost center.
  cost_center: Name of the cost center.
  legal_entity_id: Legal entity that employs the user.
  legal_entity: Name of the legal entity.
  first_seen_at: When the user was first seen here.
  left_at: >-
    Since when the status has been CLOSED, DISABLED, DELETED, INACTIVE or ARCHIVED, as far as it was
    seen here; null while it is another.
ties:
  every_user_is_here:
    description: Every user whom Brex lists is here.
    query: >-
      SELECT id FROM users WHERE _deleted_at IS NULL
      EXCEPT SELECT user_id FROM people
*/
WITH leaving (status) AS (
    VALUES ('CLOSED'), ('DISABLED'), ('DELETED'), ('INACTIVE'), ('ARCHIVED')
),
left_since AS (
    SELECT v.id, min(v._valid_from) AS at
    FROM {history}.users v
    WHERE v.status IN (SELECT status FROM leaving)
      AND NOT EXISTS (
          SELECT FROM {history}.users later
          WHERE later.id = v.id
            AND later._valid_from > v._valid_from
            AND (later.status IN (SELECT status FROM leaving)) IS NOT TRUE
      )
    GROUP BY v.id
)
SELECT
    {connection}::text AS connection,
    u.id AS user_id,
    nullif(concat_ws(' ', nullif(u.first_name, ''), nullif(u.last_name, '')), '') AS name,
    u.email,
    u.status,
    u.status = 'ACTIVE' AS is_active,
    u.manager_id,
    nullif(concat_ws(' ', nullif(m.first_name, ''), nullif(m.last_name, '')), '') AS manager,
    u.department_id,
    d.name AS department,
    u.location_id,
    l.name AS location,
    t.name AS title,
    u.cost_center_id,
    c.name AS cost_center,
    u.legal_entity_id,
    e.display_name AS legal_entity,
    u._first_seen_at AS first_seen_at,
    CASE WHEN u.status IN (SELECT status FROM leaving) THEN s.at END AS left_at
FROM users u
LEFT JOIN users m ON m.id = u.manager_id AND m._deleted_at IS NULL
LEFT JOIN departments d ON d.id = u.department_id AND d._deleted_at IS NULL
LEFT JOIN locations l ON l.id = u.location_id AND l._deleted_at IS NULL
LEFT JOIN titles t ON t.id = u.title_id AND t._deleted_at IS NULL
LEFT JOIN cost_centers c ON c.id = u.cost_center_id AND c._deleted_at IS NULL
LEFT JOIN legal_entities e ON e.id = u.legal_entity_id AND e._deleted_at IS NULL
LEFT JOIN left_since s ON s.id = u.id
WHERE u._deleted_at IS NULL
