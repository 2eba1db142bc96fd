package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Step 7 of the lesson, training that survives: a run saves checkpoints. It can go on from
// the last of them, and ends with the very bits that it would have had without the
// interruption. That takes little, since all chance is a function of the seed and the
// step. A checkpoint is a folder checkpoint-<step> with the files of a model and
//
//	optimizer.safetensors  AdamW's two moments
//	training.json          how far it has come, the settings, each file's SHA-256
//
// It is written under another name, flushed to the disk, and renamed, so that it is
// there wholly or not at all; and read only if it is to the bit what was written.

const (
	checkpointPrefix = "checkpoint-"
	finishedSuffix   = "-finished"
	optimizerFile    = "optimizer.safetensors"
	trainingFile     = "training.json"
	keptCheckpoints  = 2
)

// checkpointFiles are the files of which training.json has the sums.
var checkpointFiles = append(slices.Clip(modelFiles), optimizerFile)

// trainingJSON is training.json, but for its first line, which has the SHA-256
// of all that follows.
type trainingJSON struct {
	RunState
	Data     string            `json:"data"`     // a fingerprint of what is trained on
	Settings map[string]string `json:"settings"` // the flags that decide what comes out
	Files    map[string]string `json:"files"`    // SHA-256
}

// A Checkpoint is one that has been read.
type Checkpoint struct {
	trainingJSON
	dir       string
	model     *Model
	tokenizer *Tokenizer
	optimizer *AdamW
}

// Checkpoints are those of a run, in its folder.
type Checkpoints struct {
	dir       string
	trainer   *Trainer
	tokenizer *Tokenizer
	data      string
	settings  map[string]string
	unsound   []string // checkpoints that could not be read
}

// Save saves a checkpoint, then removes all but the newest two.
func (c *Checkpoints) Save() error {
	name := filepath.Join(c.dir, checkpointPrefix+strconv.Itoa(c.trainer.state.Step))
	aside := filepath.Join(c.dir, "."+filepath.Base(name))
	err := wrap(name, disk.mkdir(aside, 0o777))
	if err == nil {
		err = c.write(aside, name)
	}
	if i := slices.Index(c.unsound, name); err == nil && i >= 0 { // makes place for a sound one
		c.unsound = slices.Delete(c.unsound, i, i+1)
		err = removeCheckpoint(name)
	}
	if err == nil {
		err = wrap(name, disk.rename(aside, name))
	}
	if err == nil {
		err = wrap(c.dir, syncFolder(c.dir))
	}
	if err != nil {
		removeAll(aside)
		return err
	}
	return c.removeOld()
}

// write writes the files of a checkpoint to the folder aside, which will be called
// name. The last is training.json, with the sums of those before it.
func (c *Checkpoints) write(aside, name string) error {
	t := c.trainer
	moments := t.optimizer.Moments(&t.Model.Parameters)
	files := append(ModelFiles(t.Model, c.tokenizer),
		savedFile{optimizerFile, func(w io.Writer) error { return WriteSafetensors(w, moments) }},
		savedFile{trainingFile, func(w io.Writer) error {
			state := trainingJSON{t.state, c.data, c.settings, map[string]string{}}
			for _, file := range checkpointFiles {
				sum, err := fileSum(filepath.Join(aside, file))
				if err != nil {
					return err
				}
				state.Files[file] = sum
			}
			return state.writeTo(w)
		}})
	return saveFiles(aside, name, files)
}

// removeOld removes old checkpoints: of the sound ones all but the newest two, and those
// that are not sound. One of a later step than this, which was passed over when the run
// was resumed, stays until the run comes to its step and replaces it.
func (c *Checkpoints) removeOld() error {
	kept := 0
	for _, name := range CheckpointsIn(c.dir) {
		if checkpointStep(name) > c.trainer.state.Step {
			continue
		}
		if !slices.Contains(c.unsound, name) {
			if kept++; kept <= keptCheckpoints {
				continue
			}
		}
		if err := removeCheckpoint(name); err != nil {
			return err
		}
	}
	return nil
}

// removeCheckpoint removes a checkpoint, under a name that neither one nor what will be one has.
func removeCheckpoint(name string) error {
	aside := filepath.Join(filepath.Dir(name), "."+strings.TrimSuffix(filepath.Base(name), finishedSuffix)+finishedSuffix)
	err := disk.rename(name, aside)
	if err == nil {
		err = removeAll(aside)
	}
	return wrap(name, err)
}

// Finish gives the checkpoints of a run that is over another name. Hugging Face's Trainer takes
// a checkpoint-<step> for one of its own, with which a training in this folder has to go on.
// (Where they cannot be renamed nothing is lost.)
func (c *Checkpoints) Finish() {
	for _, name := range CheckpointsIn(c.dir) {
		os.Rename(name, strings.TrimSuffix(name, finishedSuffix)+finishedSuffix)
	}
}

// CheckpointsIn are the checkpoints in a run's folder, the newest first. What is only called like
// one, as those of Hugging Face's Trainer are, is not touched.
func CheckpointsIn(dir string) []string {
	return slices.DeleteFunc(LikeCheckpoints(dir), func(name string) bool { return !isCheckpoint(name) })
}

// isCheckpoint tells whether a folder has what only these checkpoints have.
func isCheckpoint(name string) bool { return exists(filepath.Join(name, trainingFile)) }

// LikeCheckpoints are the folders in another that are called like checkpoints, the newest first.
func LikeCheckpoints(dir string) []string {
	entries, _ := os.ReadDir(dir)
	var names []string
	for _, e := range entries {
		if e.IsDir() && checkpointStep(e.Name()) >= 0 {
			names = append(names, filepath.Join(dir, e.Name()))
		}
	}
	slices.SortFunc(names, func(a, b string) int { return checkpointStep(b) - checkpointStep(a) })
	return names
}

// CheckPlaces returns an error if a folder that is no checkpoint is where one may have to be
// written after a step.
func CheckPlaces(dir string, after, last int) error {
	for _, name := range LikeCheckpoints(dir) {
		if step := checkpointStep(name); step > after && step <= last && !isCheckpoint(name) {
			return fmt.Errorf("%s is no checkpoint of pretrain, which may have to write one there: move it elsewhere", name)
		}
	}
	return nil
}

// checkpointStep is the step in the name of a checkpoint, or −1.
func checkpointStep(name string) int {
	digits, ok := strings.CutPrefix(strings.TrimSuffix(filepath.Base(name), finishedSuffix), checkpointPrefix)
	step, err := strconv.Atoi(digits)
	if !ok || err != nil || step < 0 || digits != strconv.Itoa(step) {
		return -1
	}
	return step
}

// RemoveAside removes what was being written or removed when a run was cut off.
func RemoveAside(dir string) {
	UndoSaving(dir)
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if name, hidden := strings.CutPrefix(e.Name(), "."); hidden && checkpointStep(name) >= 0 {
			removeAll(filepath.Join(dir, e.Name()))
		} else if hidden {
			removeLeft(filepath.Join(dir, strings.TrimSuffix(name, filepath.Ext(name))))
		}
	}
}

// NewestCheckpoint reads the newest sound checkpoint in a run's folder; it is nil
// where there is none yet. note is told why another was passed over.
func NewestCheckpoint(dir string, note func(format string, args ...any)) (c *Checkpoint, unsound []string, err error) {
	for _, name := range CheckpointsIn(dir) {
		if c, err = loadCheckpoint(name); err == nil {
			return c, unsound, nil
		}
		unsound = append(unsound, name)
		note("%s is passed over: %v", name, err)
	}
	if err != nil {
		err = fmt.Errorf("%s: none of its checkpoints is sound", dir)
	}
	return nil, unsound, err
}

// loadCheckpoint reads a checkpoint if each of its files is as it was written.
func loadCheckpoint(dir string) (*Checkpoint, error) {
	c := &Checkpoint{dir: dir}
	name := filepath.Join(dir, trainingFile)
	data, err := readSmall(name)
	if err != nil {
		return nil, err
	}
	if c.trainingJSON, err = parseTraining(data); err != nil {
		return nil, wrap(name, err)
	}
	for _, file := range checkpointFiles {
		want, ok := c.Files[file]
		if !ok && file == tokenizerFile && !exists(filepath.Join(dir, file)) { // earlier versions wrote none
			continue
		}
		sum, err := fileSum(filepath.Join(dir, file))
		if err != nil {
			return nil, err
		}
		if sum != want {
			return nil, fmt.Errorf("%s has SHA-256 %s, want %s by %s", filepath.Join(dir, file), sum, want, trainingFile)
		}
	}
	var fresh []string
	if c.model, c.tokenizer, fresh, err = LoadModel(dir); err != nil {
		return nil, err
	}
	if len(fresh) > 0 {
		return nil, fmt.Errorf("%s has not %s", filepath.Join(dir, modelFile), strings.Join(fresh, " and "))
	}
	c.optimizer, err = loadOptimizer(filepath.Join(dir, optimizerFile), &c.model.Parameters)
	return c, err
}

// loadOptimizer reads AdamW's moments for these parameters.
func loadOptimizer(name string, ps *Parameters) (*AdamW, error) {
	f, tensors, err := OpenSafetensors(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	a := NewAdamW(ps, &Settings{})
	list := a.Moments(ps)
	found := make([]*Tensor, len(list))
	for i, p := range list {
		t, ok := tensors[p.Name]
		if !ok || t.DType != "F32" || !slices.Equal(t.Shape, p.Shape) {
			return nil, fmt.Errorf("%s: tensor %s is %s %v, want F32 %v", name, p.Name, t.DType, t.Shape, p.Shape)
		}
		found[i] = &t
	}
	if err = ReadTensors(list, found); err == nil && len(a.second) > 0 && slices.Min(a.second) < 0 {
		err = fmt.Errorf("%s: a second moment is %v, want 0 or more, as a mean of squares is", name, slices.Min(a.second))
	}
	return a, err
}

// sumLine is the first line of training.json, for a sum.
const sumLine = "{\"sha256\": \"%s\",\n"

// writeTo writes training.json.
func (s trainingJSON) writeTo(w io.Writer) error {
	var text bytes.Buffer
	if err := writeJSON(&text, s); err != nil {
		return err
	}
	rest := text.Bytes()[len("{\n"):]
	_, err := fmt.Fprintf(w, sumLine+"%s", sumOf(rest), rest)
	return err
}

// parseTraining reads training.json.
func parseTraining(data []byte) (s trainingJSON, err error) {
	line, rest, _ := bytes.Cut(data, []byte("\n"))
	if sum := sumOf(rest); string(line)+"\n" != fmt.Sprintf(sumLine, sum) {
		return s, fmt.Errorf("the SHA-256 after its first line is %s, and not what that line says", sum)
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return s, err
	}
	switch {
	case s.Step < 0 || s.Tokens < 0:
		err = fmt.Errorf("step is %d and tokens %d, want 0 or more", s.Step, s.Tokens)
	case s.Skipped < 0 || s.Skipped > s.Step || s.SkippedInRow < 0 || s.SkippedInRow >= maxSkipped || s.SkippedInRow > s.Skipped:
		err = fmt.Errorf("skipped_steps is %d and skipped_in_row %d after %d steps", s.Skipped, s.SkippedInRow, s.Step)
	}
	return s, err
}

// ResumeFrom makes the trainer go on from a checkpoint.
func (t *Trainer) ResumeFrom(c *Checkpoint) error {
	if c.Step > t.Settings.Steps {
		return fmt.Errorf("%s: it has taken more steps than -steps, %d", c.dir, t.Settings.Steps)
	}
	t.state = c.RunState
	t.optimizer = c.optimizer
	t.optimizer.steps = c.Step - c.Skipped
	s := &t.Settings
	t.optimizer.Beta1, t.optimizer.Beta2, t.optimizer.WeightDecay = s.Beta1, s.Beta2, s.WeightDecay
	return nil
}

// KeepMetrics takes the lines after a step out of metrics.jsonl, since the steps
// after it will be taken again.
func KeepMetrics(name string, step int) error {
	data, err := readUpTo(name, math.MaxInt64)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	return writeFile(name, func(w io.Writer) error {
		for line := range bytes.Lines(data) {
			var r struct{ Step int }
			if json.Unmarshal(line, &r) == nil && r.Step <= step {
				fmt.Fprintf(w, "%s\n", bytes.TrimRight(line, "\r\n"))
			}
		}
		return nil
	})
}
