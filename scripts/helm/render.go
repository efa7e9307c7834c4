// Renders the templates of a Helm chart as Helm does: Go's text/template with the functions of sprig, and those that Helm adds
// (https://helm.sh/docs/chart_template_guide/function_list/). The checker of the chart starts it.
//
//	render CHART_DIRECTORY < {"Values": {...}, "Release": {...}, "Chart": {...}} > {"service.yaml": "...", ...}
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig"
	"sigs.k8s.io/yaml"
)

func functions(set *template.Template) template.FuncMap {
	list := sprig.TxtFuncMap()
	// Helm takes these away: a chart must not see the machine.
	delete(list, "env")
	delete(list, "expandenv")
	list["toYaml"] = func(value interface{}) string {
		text, err := yaml.Marshal(value)
		if err != nil {
			return ""
		}
		return strings.TrimSuffix(string(text), "\n")
	}
	list["include"] = func(name string, data interface{}) (string, error) {
		var out strings.Builder
		err := set.ExecuteTemplate(&out, name, data)
		return out.String(), err
	}
	list["required"] = func(message string, value interface{}) (interface{}, error) {
		if value == nil || value == "" {
			return nil, fmt.Errorf("%s", message)
		}
		return value, nil
	}
	return list
}

func render(chart string, facts map[string]interface{}) (map[string]string, error) {
	set := template.New("chart")
	// `helm lint --strict`: a value that is not there is an error.
	set.Option("missingkey=error").Funcs(functions(set))
	files, err := filepath.Glob(filepath.Join(chart, "templates", "*"))
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		if _, err := set.New(filepath.Base(file)).Parse(string(text)); err != nil {
			return nil, err
		}
	}
	rendered := map[string]string{}
	for _, file := range files {
		name := filepath.Base(file)
		if !strings.HasSuffix(name, ".yaml") {
			continue
		}
		var out strings.Builder
		if err := set.ExecuteTemplate(&out, name, facts); err != nil {
			return nil, err
		}
		rendered[name] = out.String()
	}
	return rendered, nil
}

func main() {
	facts := map[string]interface{}{}
	err := json.NewDecoder(os.Stdin).Decode(&facts)
	if err == nil {
		var rendered map[string]string
		if rendered, err = render(os.Args[1], facts); err == nil {
			err = json.NewEncoder(os.Stdout).Encode(rendered)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
