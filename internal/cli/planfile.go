package cli

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/upwelldata/upwell/internal/fault"
	"github.com/upwelldata/upwell/internal/run"
)

// savePlan writes the document of `plan --json` with what `run --plan` needs beside it. The file appears whole or not at all, and
// only its owner may read it: it holds values of records.
func savePlan(name string, r *planResult) error {
	b, err := document(struct {
		*planResult
		Saved []run.SavedPlan `json:"saved_plans"`
	}{r, list(r.saved)})
	if err != nil {
		return err
	}
	return writeWhole(path(name), b)
}

// writeWhole writes a private file in one step.
func writeWhole(name string, b []byte) (err error) {
	failed := func(err error) error {
		return fault.Wrap(fault.UsageUnknown, err, "writing %s", name).WithFix("name a file in a folder you may write to")
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".upwell-*") // made with mode 0600
	if err != nil {
		return failed(err)
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return failed(errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}

// loadPlans reads a plan file.
func loadPlans(name string) (map[string]*run.SavedPlan, error) {
	b, err := os.ReadFile(path(name))
	if err != nil {
		return nil, fault.Wrap(fault.UsageUnknown, err, "reading the plan").WithFix("make it with `upwell plan --out %s`", name)
	}
	return run.ParsePlans(b)
}
