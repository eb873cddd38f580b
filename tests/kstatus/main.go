// Says what Flux says of objects. Reads one question a line, {"object": …, "expressions": …}, and prints one answer a
// line, {"status": …, "message": …}. Without expressions kstatus answers, as for `wait: true`; with them the evaluator
// of healthCheckExprs.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/fluxcd/pkg/runtime/cel"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

type question struct {
	Object      json.RawMessage                   `json:"object"`
	Expressions *kustomize.HealthCheckExpressions `json:"expressions"`
}

type answer struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 16<<20)
	encoder := json.NewEncoder(out)
	for lines.Scan() {
		var asked question
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			return err
		}
		result, err := judge(asked)
		if err != nil {
			// As Flux's status readers do it: not known yet, so it goes on waiting.
			result = &status.Result{Status: status.UnknownStatus, Message: err.Error()}
		}
		if err := encoder.Encode(answer{result.Status.String(), result.Message}); err != nil {
			return err
		}
	}
	return lines.Err()
}

func judge(asked question) (*status.Result, error) {
	object := &unstructured.Unstructured{}
	// Not encoding/json: whole numbers have to be int64, as they come from the API server.
	if err := object.UnmarshalJSON(asked.Object); err != nil {
		return nil, err
	}
	if asked.Expressions == nil {
		return status.Compute(object)
	}
	evaluator, err := cel.NewStatusEvaluator(asked.Expressions)
	if err != nil {
		return nil, err
	}
	return evaluator.Evaluate(context.Background(), object)
}
