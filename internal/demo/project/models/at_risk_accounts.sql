-- Paying accounts in trouble. `health` is a view over models/customer_health.sql, made with the warehouse.
select account_id, name, owner_email, health_score, weakest
from health
where health_tier = 'at_risk' and mrr > 0
