package main

import (
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The program, read as its package comment says that it is to be read.
type program struct {
	position func(token.Pos) token.Position
	info     *types.Info
	scope    *types.Scope
	order    []string       // the files, in the order of the package comment
	place    map[string]int // of a file in it
	lesson   map[string]bool
}

// readProgram parses and checks the program. The order, and which files are the
// lesson's, is what the package comment says.
func readProgram(t *testing.T) *program {
	t.Helper()
	fset := token.NewFileSet()
	p := &program{position: fset.Position, place: map[string]int{}, lesson: map[string]bool{}}
	p.info = &types.Info{Defs: map[*ast.Ident]types.Object{}, Uses: map[*ast.Ident]types.Object{}}

	list := func(args ...string) string {
		out, err := exec.Command("go", append([]string{"list"}, args...)...).Output()
		check(t, err)
		return string(out)
	}
	compiled := map[string]string{} // the packages of the library that are used
	for line := range strings.Lines(list("-export", "-deps", "-f", "{{.ImportPath}} {{.Export}}", ".")) {
		path, file, _ := strings.Cut(strings.TrimSpace(line), " ")
		compiled[path] = file
	}
	var files []*ast.File
	for _, name := range strings.Fields(list("-f", `{{join .GoFiles " "}}`, ".")) {
		file, err := parser.ParseFile(fset, name, nil, parser.ParseComments)
		check(t, err)
		files = append(files, file)
		if file.Doc == nil {
			continue
		}
		part := ""
		for line := range strings.Lines(file.Doc.Text()) {
			if name, ok := strings.CutPrefix(line, "The "); ok && strings.HasSuffix(name, ":\n") {
				part = name
			}
			if name := regexp.MustCompile(`^\t(\w+\.go)\s`).FindStringSubmatch(line); name != nil {
				p.place[name[1]] = len(p.order)
				p.order = append(p.order, name[1])
				p.lesson[name[1]] = part == "lesson:\n"
			}
		}
	}
	config := types.Config{Importer: importer.ForCompiler(fset, "gc", func(path string) (io.ReadCloser, error) { return os.Open(compiled[path]) })}
	pkg, err := config.Check("main", fset, files, p.info)
	check(t, err)
	p.scope = pkg.Scope()
	return p
}

// eachUse calls use for each use, in one file, of what another one defines.
func (p *program) eachUse(use func(id *ast.Ident, of types.Object, in, from string)) {
	for id, of := range p.info.Uses {
		if f, ok := of.(*types.Func); ok {
			of = f.Origin() // of a method of a generic type
		}
		if v, ok := of.(*types.Var); ok {
			of = v.Origin()
		}
		if of.Pkg() == nil || of.Pkg().Scope() != p.scope {
			continue
		}
		if in, from := p.position(id.Pos()).Filename, p.position(of.Pos()).Filename; in != from {
			use(id, of, in, from)
		}
	}
}

// A reader goes from the first file to the last, in the order of the package comment,
// and never meets a name that a later file defines: no function, type, constant or
// variable, no method and no field.
func TestReadingOrder(t *testing.T) {
	p := readProgram(t)
	names, err := filepath.Glob("*.go")
	check(t, err)
	for _, name := range names {
		if _, ok := p.place[name]; !ok && !strings.HasSuffix(name, "_test.go") {
			t.Errorf("%s: the package comment in bert.go does not say when to read it", name)
		}
	}
	for name, at := range p.place {
		if !slices.Contains(names, name) {
			t.Errorf("the package comment names %s, which is not there", name)
		}
		if p.order[at] != name || slices.Index(p.order, name) != at {
			t.Errorf("the package comment names %s twice", name)
		}
	}
	readme, err := os.ReadFile("README.md")
	check(t, err)
	_, text, _ := strings.Cut(string(readme), "\nThe ground, ")
	text, _, _ = strings.Cut(text, "\n## ")
	last := ""
	for _, name := range regexp.MustCompile(`\w+\.go\b`).FindAllString(text, -1) {
		if last != "" && p.place[name] < p.place[last] {
			t.Errorf("README.md names %s after %s; the package comment has it before", name, last)
		}
		last = name
	}
	equal(t, last, "main.go", "the last file that README.md names")

	var forward []string
	p.eachUse(func(id *ast.Ident, of types.Object, in, from string) {
		if p.place[from] > p.place[in] {
			forward = append(forward, fmt.Sprintf("%s:%d uses %s, which the reader meets later, in %s", in, p.position(id.Pos()).Line, of.Name(), from))
		}
	})
	slices.Sort(forward)
	for _, line := range forward {
		t.Error(line)
	}
}

// In the lesson a small letter says that a function, type or method is its file's own
// affair; and what belongs to the ground or to the commands has no capital.
func TestCapitals(t *testing.T) {
	p := readProgram(t)
	p.eachUse(func(id *ast.Ident, of types.Object, in, from string) {
		_, isType := of.(*types.TypeName)
		_, isFunc := of.(*types.Func)
		if p.lesson[from] && (isType || isFunc) && !of.Exported() {
			t.Errorf("%s:%d uses %s, which has no capital in %s", in, p.position(id.Pos()).Line, of.Name(), from)
		}
	})
	for _, name := range p.scope.Names() {
		of := p.scope.Lookup(name)
		if from := p.position(of.Pos()).Filename; of.Exported() && !p.lesson[from] {
			t.Errorf("%s has a capital in %s, which is no file of the lesson", name, from)
		}
	}
}

// The README's map from steps to code holds: in each row the file has the functions and
// types that are named, and the tests are there.
func TestREADMEsMap(t *testing.T) {
	p := readProgram(t)
	defined := map[string]bool{} // file.go:name
	for id, of := range p.info.Defs {
		if of != nil {
			defined[p.position(id.Pos()).Filename+":"+id.Name] = true
		}
	}
	tests := ""
	names, err := filepath.Glob("*_test.go")
	check(t, err)
	for _, name := range names {
		text, err := os.ReadFile(name)
		check(t, err)
		tests += string(text)
	}
	readme, err := os.ReadFile("README.md")
	check(t, err)
	rows := 0
	quoted := regexp.MustCompile("`(\\w+)`")
	for _, row := range regexp.MustCompile(`(?m)^\|[^|]*\| (\w+\.go): ([^|]*)\|([^|]*)\|$`).FindAllStringSubmatch(string(readme), -1) {
		rows++
		for _, name := range quoted.FindAllStringSubmatch(row[2], -1) {
			if !defined[row[1]+":"+name[1]] {
				t.Errorf("README.md says that %s has %s", row[1], name[1])
			}
		}
		for _, name := range quoted.FindAllStringSubmatch(row[3], -1) {
			if !strings.Contains(tests, "\nfunc "+name[1]+"(") {
				t.Errorf("README.md names a test %s, which is not there", name[1])
			}
		}
	}
	if rows < 30 {
		t.Errorf("README.md's map has %d rows, want a row for each file of the lesson", rows)
	}
}
