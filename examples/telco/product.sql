-- The product database's table. The key needs a unique index: an upsert finds its row by it.
create table customer_risk (
  customer_id     text primary key,
  churn_risk      numeric(6, 4) not null,
  churn_tier      text not null,
  offer           text not null,
  monthly_charges numeric(10, 2) not null,
  total_charges   numeric(10, 2)
);
