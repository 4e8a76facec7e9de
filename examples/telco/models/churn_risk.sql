-- The probability that a customer leaves: a logistic model over what the bill knows. The weights are round numbers in the order
-- of what a regression on this data finds; they are an example, not advice.
with customers as (
  select
    customerID                                    as customer_id,
    Contract                                      as contract,
    PaymentMethod                                 as payment_method,
    InternetService <> 'No'                       as has_internet,
    InternetService = 'Fiber optic'               as fiber,
    OnlineSecurity = 'Yes' or TechSupport = 'Yes' as protected,
    PaymentMethod = 'Electronic check'            as by_check,
    tenure::integer                               as tenure,
    MonthlyCharges::decimal(10, 2)                as monthly_charges,
    -- 11 customers of the file have not been billed yet: their total is blank, which is null and not zero.
    nullif(trim(TotalCharges), '')::decimal(10, 2) as total_charges
  from read_csv('data/telco_customer_churn.csv', header = true, all_varchar = true)
),
weighed as (
  select
    *,
    -0.9
      + case contract when 'Month-to-month' then 0.9 when 'One year' then -0.2 else -1.2 end
      + case when fiber then 0.8 when not has_internet then -0.7 else 0 end
      + case when protected then -0.5 else 0 end
      + case when by_check then 0.4 else 0 end
      + 0.008 * (monthly_charges::double - 65)
      - 0.030 * tenure as log_odds
  from customers
)
select
  customer_id,
  round(1 / (1 + exp(-log_odds)), 4)::decimal(6, 4) as churn_risk,
  case when log_odds >= 0 then 'high' when log_odds >= -1.5 then 'medium' else 'low' end as churn_tier,
  contract,
  payment_method,
  has_internet,
  tenure,
  monthly_charges,
  total_charges
from weighed
