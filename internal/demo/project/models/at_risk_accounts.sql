-- Paying accounts in trouble. `health` holds what models/customer_health.sql says, made with the warehouse.
select account_id, name, owner_email, health_score, weakest
from health
where health_tier = 'at_risk' and mrr > 0
