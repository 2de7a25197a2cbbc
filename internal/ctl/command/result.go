package command

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/hypervisor-control-plane/hcp/client"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/fail"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/output"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/watch"
)

// result shows what became of a job that a command began.
type result struct {
	*call
	spec     spec
	accepted client.Accepted
	raw      []byte // the answer, as the API sent it
	printer  *output.Printer
}

// printAccepted is the result of --no-wait: for people the ID of the job.
func (r result) printAccepted() error {
	switch {
	case r.printer.Human() && len(r.printer.Columns) == 0:
		return r.say("%s", r.accepted.JobID)
	case r.printer.Format == output.Name:
		return r.say("job/%s", r.accepted.JobID)
	}
	return r.printer.One(acceptedResource(), r.raw)
}

func acceptedResource() output.Resource {
	return output.Resource{Kind: "job", Columns: []output.Column{
		{Header: "resource_id", Path: "resource_id"}, {Header: "job_id", Path: "job_id"}, {Header: "state", Path: "job.state"},
	}}
}

// print shows the job's end. Programs get the answer with the job in it,
// whatever the end; people a sentence where all is well.
func (r result) print(job client.Job, g goal) error {
	failed := outcome(job, g, r.app.again(jobWords(g, "watch")...))
	switch {
	case r.printer.Format == output.Name:
		if err := r.say("%s/%s", r.spec.resource.Kind, r.accepted.ResourceID); err != nil {
			return err
		}
	case r.printer.Human() && len(r.printer.Columns) == 0:
		if failed == nil {
			if err := r.say("%s", r.sentence(job)); err != nil {
				return err
			}
		}
	default:
		raw, err := withJob(r.raw, job)
		if err != nil {
			return err
		}
		if err := r.printer.One(acceptedResource(), raw); err != nil {
			return err
		}
	}
	if failed != nil {
		return failed
	}
	return nil
}

func jobWords(g goal, verb string) []string {
	if g.ops {
		return []string{"ops", "job", verb}
	}
	return []string{"job", verb}
}

// sentence says that all is well.
func (r result) sentence(job client.Job) string {
	what := r.spec.resource.Kind
	name := r.accepted.ResourceID
	if len(r.args) > 0 && r.args[0] != name {
		what += " " + r.args[0]
	}
	took := ""
	if job.FinishedAt != nil {
		took = " in " + watch.Took(job.FinishedAt.Sub(job.CreatedAt))
	}
	if job.Result != nil && job.Result.NoOp != nil && *job.Result.NoOp {
		return fmt.Sprintf("%s (%s) was %s already", what, name, r.spec.past)
	}
	return fmt.Sprintf("%s (%s) %s%s", what, name, r.spec.past, took)
}

// withJob adds the job to the answer; the members that were there stay first.
func withJob(accepted []byte, job client.Job) (json.RawMessage, error) {
	raw, err := json.Marshal(job)
	if err != nil {
		return nil, err
	}
	head := strings.TrimSuffix(strings.TrimSpace(string(accepted)), "}")
	return json.RawMessage(head + `,"job":` + string(raw) + "}"), nil
}

// outcome is nil where the job ended as wanted, else the error that says how
// it ended. watchCommand is the command that shows the job.
func outcome(job client.Job, g goal, watchCommand string) error {
	if job.State == g.state {
		return nil
	}
	e := &fail.Error{Exit: fail.JobFailed, RequestID: job.RequestID}
	show := strings.TrimSuffix(watchCommand, "watch") + "get " + job.ID
	if job.Error != nil {
		e.Code, e.Message = job.Error.Code, job.Error.Message
	} else {
		e.Message = fmt.Sprintf("job %s ended %s", job.ID, job.State)
	}
	switch {
	case g.state == client.JobStateCANCELLED && job.State == client.JobStateSUCCEEDED:
		e.Message, e.Exit = "the job had succeeded before it could be cancelled", fail.Failed
		return e
	case e.Code == "UNKNOWN_OUTCOME" || job.Compensation == client.CompensationStateINCOMPLETE:
		e.Exit = fail.Unknown
		e.Next = append(e.Next, "It is not known what is left on the hypervisor; an operator has to look.")
	case job.Compensation == client.CompensationStateCOMPLETE:
		e.Next = append(e.Next, "What the job had done is undone.")
	}
	return e.Then("See each step: "+show, "What the code means: hcpctl error-code "+firstOf(e.Code, "CODE"))
}
