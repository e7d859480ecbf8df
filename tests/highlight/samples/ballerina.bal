import ballerina/http;

// health endpoint
service /status on new http:Listener(9090) {
    resource function get health() returns string {
        int retries = 3;
        return "ok " + retries.toString();
    }
}
