package telco_test

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const (
	customers = 7043
	// CSVVariable names the public data set (IBM's Telco customer churn, Apache-2.0; examples/telco/README.md). Without it the file
	// is looked for below UPWELL_SHARED, and else one of the same form and size is made.
	csvVariable    = "UPWELL_TELCO_CSV"
	sharedVariable = "UPWELL_SHARED"
)

// The columns the test reads or changes.
const (
	colID       = 0
	colTenure   = 5
	colInternet = 8
	colSecurity = 9
	colSupport  = 12
	colContract = 15
	colPayment  = 17
	colMonthly  = 18
	colTotal    = 19
)

var header = strings.Split("customerID,gender,SeniorCitizen,Partner,Dependents,tenure,PhoneService,MultipleLines,InternetService,"+
	"OnlineSecurity,OnlineBackup,DeviceProtection,TechSupport,StreamingTV,StreamingMovies,Contract,PaperlessBilling,PaymentMethod,"+
	"MonthlyCharges,TotalCharges,Churn", ",")

// telco gives the customers, one slice of 21 texts each.
func telco(t *testing.T) [][]string {
	t.Helper()
	name := os.Getenv(csvVariable)
	if name == "" {
		shared := os.Getenv(sharedVariable)
		if shared == "" {
			shared = filepath.Join("..", "..", "..", "shared")
		}
		name = filepath.Join(shared, "data", "telco_churn", "telco_customer_churn.csv")
		if _, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) {
			t.Logf("%s is not set: the data is made, in the form of the public file", csvVariable)
			return made()
		}
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatalf("opening what %s names: %v", csvVariable, err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatalf("reading %s: %v", name, err)
	}
	if strings.Join(rows[0], ",") != strings.Join(header, ",") || len(rows)-1 != customers {
		t.Fatalf("%s is another file: %d rows, columns %v", name, len(rows)-1, rows[0])
	}
	t.Logf("data: %s", name)
	return rows[1:]
}

// made gives as many customers as the public file has, with its columns, its words and its eleven blank totals.
func made() [][]string {
	pick := func(n, salt int, of ...string) string { return of[(n*2654435761+salt*40503)>>7%len(of)] }
	out := make([][]string, customers)
	for n := range out {
		tenure, monthly := n*37%73, 18.25+float64(n*7919%10050)/100
		internet := pick(n, 1, "DSL", "Fiber optic", "No")
		extra := func(salt int) string {
			if internet == "No" {
				return "No internet service"
			}
			return pick(n, salt, "Yes", "No")
		}
		total := fmt.Sprintf("%.2f", float64(tenure)*monthly+float64(n%90)/100)
		if n%641 == 0 {
			tenure, total = 0, " "
		}
		letters := []byte{'A' + byte(n/17576%26), 'A' + byte(n/676%26), 'A' + byte(n/26%26), 'A' + byte(n%26), 'X'}
		out[n] = []string{
			fmt.Sprintf("%04d-%s", n*7919%10000, letters), pick(n, 2, "Female", "Male"), pick(n, 3, "0", "0", "1"), pick(n, 4, "Yes", "No"),
			pick(n, 5, "Yes", "No"), strconv.Itoa(tenure), "Yes", pick(n, 6, "Yes", "No"), internet, extra(7), extra(8), extra(9), extra(10),
			extra(11), extra(12), pick(n, 13, "Month-to-month", "Month-to-month", "One year", "Two year"), pick(n, 14, "Yes", "No"),
			pick(n, 15, "Electronic check", "Mailed check", "Bank transfer (automatic)", "Credit card (automatic)"),
			fmt.Sprintf("%.2f", monthly), total, pick(n, 16, "No", "No", "Yes"),
		}
	}
	return out
}

// expected is what the model must say of a customer, computed here a second time.
type expected struct {
	risk                   float64
	tier, contract, method string
	tenure                 int
	monthly                string // two digits behind the point
	total                  string // the same; "" = null
	internet               bool
	offer                  string
}

func expect(t *testing.T, row []string) expected {
	t.Helper()
	number := func(s string) float64 {
		f, err := strconv.ParseFloat(s, 64)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	e := expected{
		contract: row[colContract], method: row[colPayment], tenure: int(number(row[colTenure])), monthly: cents(row[colMonthly]),
		internet: row[colInternet] != "No", tier: "low", offer: "none",
	}
	if s := strings.TrimSpace(row[colTotal]); s != "" {
		e.total = cents(s)
	}
	odds := -0.9
	switch e.contract {
	case "Month-to-month":
		odds += 0.9
	case "One year":
		odds -= 0.2
	default:
		odds -= 1.2
	}
	switch row[colInternet] {
	case "Fiber optic":
		odds += 0.8
	case "No":
		odds -= 0.7
	}
	if row[colSecurity] == "Yes" || row[colSupport] == "Yes" {
		odds -= 0.5
	}
	if e.method == "Electronic check" {
		odds += 0.4
	}
	odds += 0.008*(number(row[colMonthly])-65) - 0.03*float64(e.tenure)
	e.risk = 1 / (1 + math.Exp(-odds))
	if odds >= -1.5 {
		e.tier = "medium"
	}
	if odds >= 0 {
		e.tier = "high"
		if e.contract == "Month-to-month" {
			e.offer = "one-year-discount"
		}
	}
	return e
}

// cents writes "29.9" and "29" as "29.90" and "29.00", without going through a float.
func cents(s string) string {
	whole, part, _ := strings.Cut(s, ".")
	return whole + "." + (part + "00")[:2]
}

// save writes the customers where the project's model reads them.
func save(t *testing.T, name string, rows [][]string) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	w := csv.NewWriter(f)
	if err := w.WriteAll(append([][]string{header}, rows...)); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
